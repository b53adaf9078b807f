/** PEFT's own merge of the same files, beside ours; needs a Python with torch, transformers and peft. */

import { execFileSync, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { adapter, baseModel, CACHE } from "./model.js";

export async function run([python = "python3", ...ranks]) {
  if (spawnSync(python, ["-c", "import torch, transformers, peft"]).status !== 0) {
    console.log(`skipped: ${python} has no torch, transformers and peft; npm run bench -- peft <python> [rank…]`);
    return;
  }
  const base = baseModel();
  for (const rank of ranks.length > 0 ? ranks.map(Number) : [16, 1024]) {
    const out = join(CACHE, "merged");
    const child = join(import.meta.dirname, "child.js");
    const script = join(import.meta.dirname, "../../fixtures/generate/bench_peft.py");
    const clean = () => rmSync(out, { recursive: true, force: true });
    clean();
    const own = JSON.parse(execFileSync(process.execPath, [child, base, adapter(rank), out], { encoding: "utf8" }));
    clean();
    const peft = JSON.parse(execFileSync(python, [script, base, adapter(rank), out], { encoding: "utf8" }));
    clean();
    const size = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;
    console.log(
      `rank ${rank}: lora-tool ${own.seconds.toFixed(1)} s, ${size(own.peakBytes)}; ` +
        `PEFT ${peft.seconds.toFixed(1)} s, ${size(peft.peak_rss_bytes)}`,
    );
  }
}
