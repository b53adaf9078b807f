/** Runs steps of training in a process of its own and prints the speed of the fastest and the peak memory. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { train } from "lora-tool";

const [base, data, steps, more] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "lora-tool-bench-"));
let tokensPerSecond = 0;
try {
  await train({
    base,
    data,
    out: join(folder, "out"),
    rank: 16,
    alpha: 16,
    lr: 1e-3,
    steps: Number(steps),
    batchSize: 4,
    shuffle: false,
    device: "cpu",
    checkpointBlocks: more === "--checkpoint-blocks",
    onEvent: (event) => {
      if (event.kind === "step") tokensPerSecond = Math.max(tokensPerSecond, event.positions / event.seconds);
    },
  });
} finally {
  rmSync(folder, { recursive: true });
}
// Linux counts in kilobytes.
console.log(JSON.stringify({ tokensPerSecond, peakBytes: process.resourceUsage().maxRSS * 1024 }));
