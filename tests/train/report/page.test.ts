/** The report in a real browser: Debian's chromium, where it is installed. */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeReport } from "../../../src/train/report/write-report.ts";
import { writeSweepReport } from "../../../src/train/sweep/report.ts";
import { CHROMIUM, CHROMIUM_FLAGS } from "../../support/chromium.js";
import { AS_THE_PAPER_SAYS, makeCells } from "../sweep/cells.ts";
import { HOSTILE_NAME, sampleRun } from "./sample-run.ts";

const installed = existsSync(CHROMIUM);
const title = installed
  ? "report.html in Chromium"
  : `report.html (skipped: no ${CHROMIUM}; on Debian install chromium)`;

/** A report with panels, bands and claims, and one with charts of a single run. */
const PAGES = {
  train: () => writeReport(sampleRun(120)),
  sweep: () =>
    writeSweepReport(
      { base: HOSTILE_NAME, data: "rows.jsonl", optimizer: "adamw" },
      {},
      makeCells(AS_THE_PAPER_SAYS, { ranks: [4, 16, 64], seeds: [1, 2], lrs: [1e-4, 1e-3] }).map((cell) =>
        cell.rank === 64 && cell.lr === 1e-3 ? { ...cell, diverged: "the loss is NaN" } : cell,
      ),
    ),
} as const;

describe.skipIf(!installed)(title, () => {
  let browser: Browser;
  let folder: string;
  let path: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "lora-tool-report-"));
    for (const [name, write] of Object.entries(PAGES)) writeFileSync(join(folder, `${name}.html`), write());
    path = join(folder, "train.html");
    browser = await chromium.launch({ executablePath: CHROMIUM, args: [...CHROMIUM_FLAGS] });
  });

  afterAll(async () => {
    await browser.close();
    rmSync(folder, { recursive: true });
  });

  it.each([
    ["train", 1280, "light"],
    ["train", 390, "dark"],
    ["sweep", 1280, "dark"],
    ["sweep", 390, "light"],
  ] as const)(
    "of %s draws every chart, asks for nothing and complains of nothing, %i pixels wide and %s",
    async (name, width, colorScheme) => {
      const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
      const complaints: string[] = [];
      const requests: string[] = [];
      page.on("console", (message) => complaints.push(message.text()));
      page.on("pageerror", (error) => complaints.push(error.message));
      page.on("request", (request) => requests.push(request.url()));
      const { href } = pathToFileURL(join(folder, `${name}.html`));
      await page.goto(href);
      await page.waitForSelector("figure:last-of-type svg");
      expect(complaints).toEqual([]);
      expect(requests).toEqual([href]);
      expect(await page.locator("figure svg[role=img]").count()).toBe(await page.locator("figure").count());
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(width);
      const text = await page.evaluate<string>("document.body.innerText");
      expect(text).toContain("</script><img src=x onerror=alert(1)>");
      expect(text).not.toContain("\u202e");
      await page.close();
    },
  );

  it("draws anew for another width", async () => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.goto(pathToFileURL(path).href);
    const widthOf = async () => (await page.locator("figure svg[role=img]").first().boundingBox())?.width ?? 0;
    const before = await widthOf();
    await page.setViewportSize({ width: 390, height: 800 });
    await expect.poll(widthOf).toBeLessThan(before - 100);
    await page.close();
  });

  it("saves a chart as an SVG file of its own", async () => {
    const page = await browser.newPage({ acceptDownloads: true });
    await page.goto(pathToFileURL(path).href);
    const started = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save Loss as SVG" }).click();
    const download = await started;
    expect(download.suggestedFilename()).toBe("loss.svg");
    const svg = readFileSync(await download.path(), "utf8");
    expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    expect(svg).toContain(">training</text>");
    await page.close();
  });

  it("shows a module by its hostile name, as text", async () => {
    const page = await browser.newPage();
    await page.goto(pathToFileURL(path).href);
    expect(HOSTILE_NAME).toContain("</script>");
    expect(await page.locator("img").count()).toBe(0);
    await page.close();
  });
});
