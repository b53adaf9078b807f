// @ts-check
/**
 * Saves the charts of a report as SVG files, by the button that each of them has: `npm run figures -- REPORT_HTML FOLDER`.
 * Needs Debian's chromium.
 */

import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { CHROMIUM, CHROMIUM_FLAGS } from "../support/chromium.js";

const [report = "", folder = ""] = process.argv.slice(2);
if (!existsSync(CHROMIUM) || !existsSync(report) || folder === "") {
  console.error(`usage: npm run figures -- REPORT_HTML FOLDER, with ${CHROMIUM} installed`);
  process.exit(2);
}

mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath: CHROMIUM, args: [...CHROMIUM_FLAGS] });
const page = await browser.newPage({ acceptDownloads: true });
await page.goto(pathToFileURL(resolve(report)).href);
for (const button of await page.locator("figure button").all()) {
  const started = page.waitForEvent("download");
  await button.click();
  const download = await started;
  await download.saveAs(join(folder, download.suggestedFilename()));
  console.log(download.suggestedFilename());
}
await browser.close();
