/** Runs one rescale in a process of its own and prints how long it took and its peak memory. */

import { rescale } from "lora-tool";

const [adapter, out, bake] = process.argv.slice(2);
const started = performance.now();
await rescale({ adapter, out, to: "lora", bake: bake === "bake" });
const seconds = (performance.now() - started) / 1000;
// Linux counts in kilobytes.
console.log(JSON.stringify({ seconds, peakBytes: process.resourceUsage().maxRSS * 1024 }));
