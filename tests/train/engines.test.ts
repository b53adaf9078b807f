/** Training by either engine. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { train } from "lora-tool";
import { afterAll, expect, it } from "vitest";

const BASE = join(import.meta.dirname, "../../fixtures/stories260K");
const folder = mkdtempSync(join(tmpdir(), "lora-tool-engines-"));

afterAll(() => rmSync(folder, { recursive: true }));

it("takes the same steps with TensorFlow.js as with ONNX Runtime, to 1e-4", async () => {
  const data = join(folder, "rows.jsonl");
  const rows = [40, 17].map((count, row) => ({
    input_ids: Array.from({ length: count }, (_, at) => 3 + ((row * 131 + at * at * 17) % 500)),
  }));
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const lines = [];
  for (const engine of ["onnxruntime", "tfjs"] as const) {
    const out = join(folder, engine);
    await train({ base: BASE, data, out, rank: 4, lr: 1e-2, steps: 3, device: "cpu", engine });
    lines.push(
      readFileSync(join(out, "metrics.jsonl"), "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    );
  }
  const [expected = [], found = []] = lines;
  expect(found).toHaveLength(3);
  found.forEach(({ loss, grad_norm: norm }, index) => {
    expect(Math.abs(loss / expected[index].loss - 1)).toBeLessThan(1e-4);
    expect(Math.abs(norm / expected[index].grad_norm - 1)).toBeLessThan(1e-4);
  });
});
