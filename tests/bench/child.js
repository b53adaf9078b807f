/** Runs one merge in a process of its own and prints how long it took and its peak memory. */

import { merge } from "lora-tool";

const [base, adapter, out, workers] = process.argv.slice(2);
const started = performance.now();
const report = await merge({
  base,
  adapters: [{ path: adapter }],
  out,
  overwrite: true,
  ...(workers && { workers: Number(workers) }),
});
const seconds = (performance.now() - started) / 1000;
// Linux counts in kilobytes.
console.log(JSON.stringify({ seconds, peakBytes: process.resourceUsage().maxRSS * 1024, result: report.result }));
