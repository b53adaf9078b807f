/** Extracting a rank 64 from two 1.1 B Llamas in bf16, beside a durable copy of one of them. */

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { durableCopy } from "./durable-copy.js";
import { baseModel, CACHE } from "./model.js";

export async function run([rank = "64"]) {
  const [base, tuned] = [baseModel(), baseModel("tuned-1.1b-bf16")];
  const copy = durableCopy(join(base, "model.safetensors"));
  const out = join(CACHE, "extracted");
  rmSync(out, { recursive: true, force: true });
  const child = join(import.meta.dirname, "extract-child.js");
  const text = execFileSync(process.execPath, [child, base, tuned, out, rank], { encoding: "utf8" });
  const { seconds, cpuSeconds, peakBytes } = JSON.parse(text);
  rmSync(out, { recursive: true, force: true });
  console.log(
    `rank ${rank}: ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(0)} s of processor, durable copy ${copy.toFixed(1)} s, ` +
      `peak ${(peakBytes / 1e6).toFixed(0)} MB`,
  );
}
