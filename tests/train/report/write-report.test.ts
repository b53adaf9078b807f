import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { thinPoints } from "../../../src/train/report/thin.ts";
import { writeReport } from "../../../src/train/report/write-report.ts";
import { sampleRun } from "./sample-run.ts";

const page = writeReport(sampleRun(60));
/** Without its programs, which are long. */
const markup = page.replace(/<script type="(?:text\/javascript|module)">.*?<\/script>/gs, "");

describe("report.html", () => {
  it("lets run its own scripts and nothing else", () => {
    const scripts = [...page.matchAll(/<script type="(?:text\/javascript|module)">(.*?)<\/script>/gs)];
    const allowed = [...page.matchAll(/'sha256-[^']+'/g)].map(([hash]) => hash);
    expect(scripts).toHaveLength(3);
    expect(allowed).toEqual(
      scripts.map(([, text = ""]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`),
    );
    expect(markup).toContain("default-src 'none'");
  });

  it("names no other file or address to load", () => {
    expect(markup).not.toMatch(/<(?:link|img|iframe|script [^>]*src)\b|@import|url\(/);
    expect(page.includes("sourceMappingURL")).toBe(false);
  });

  it("keeps names from files as text, in words and in data", () => {
    expect(markup).toContain("&lt;b&gt;stories260K&lt;/b&gt;");
    const [, json = ""] = /<script type="application\/json" id="charts">(.*?)<\/script>/s.exec(page) ?? [];
    const charts = JSON.parse(json) as { readonly rows?: readonly string[] }[];
    expect(charts.flatMap(({ rows = [] }) => rows)).toContain(
      "model.layers.0.</script><img src=x onerror=alert(1)>\\u{202e}<!--",
    );
  });

  it("shows each scale that modules were trained with", () => {
    expect(markup).toMatch(
      /<td>5\.657<\/td><td>rslora<\/td><td>8<\/td><td>16<\/td><td>3<\/td><td[^>]*>q_proj, v_proj, down_proj<\/td>/,
    );
    expect(markup).toMatch(/<td>4<\/td><td>rslora<\/td><td>16<\/td><td>16<\/td>/);
    expect(markup).toMatch(/<dt>effective scale<\/dt><dd>4 … 5\.657<\/dd>/);
  });

  it("can be written of a run without steps, and of one whose loss is not finite", () => {
    const run = sampleRun(2);
    expect(writeReport({ ...run, steps: [] })).toMatch(/<h1>/);
    const broken = run.steps.map((step) => ({ ...step, loss: Number.NaN, gradNorm: Number.POSITIVE_INFINITY }));
    expect(writeReport({ ...run, steps: broken })).toMatch(/<h1>/);
  });
});

describe("thinning", () => {
  it("keeps every peak and the order of points", () => {
    const points = Array.from({ length: 10_000 }, (_, x) => [x, x === 4321 ? 9 : x === 77 ? -9 : Math.sin(x)] as const);
    const thin = thinPoints(points, 100);
    expect(thin.length).toBeLessThanOrEqual(100);
    expect(thin).toContainEqual([4321, 9]);
    expect(thin).toContainEqual([77, -9]);
    expect(thin.map(([x]) => x)).toEqual(thin.map(([x]) => x).sort((a, b) => a - b));
  });

  it("leaves a short curve alone", () => {
    const points = [
      [1, 2],
      [2, 1],
    ] as const;
    expect(thinPoints(points)).toBe(points);
  });
});
