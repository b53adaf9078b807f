/** Runs one resize in a process of its own and prints how long it took and its peak memory. */

import { resize } from "lora-tool";

const [adapter, out, rank] = process.argv.slice(2);
const started = performance.now();
const report = await resize({ adapter, out, rank: Number(rank) });
const seconds = (performance.now() - started) / 1000;
const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
// Linux counts in kilobytes.
const usage = { cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, peakBytes: maxRSS * 1024 };
console.log(JSON.stringify({ seconds, ...usage, error: report.error }));
