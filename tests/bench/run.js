/**
 * `npm run bench -- <name> [options]`: speed and memory as ratios, measured in one run on one machine.
 *
 * Data lie in lora-tool-bench in the system's temporary folder, are made once and may be removed.
 */

import { cpus, totalmem } from "node:os";

const BENCHES = {
  extract: () => import("./extract.js"),
  merge: () => import("./merge.js"),
  onnx: () => import("./onnx.js"),
  peft: () => import("./peft.js"),
  rescale: () => import("./rescale.js"),
  resize: () => import("./resize.js"),
  startup: () => import("./startup.js"),
  train: () => import("./train.js"),
};

const [name, ...options] = process.argv.slice(2);
const load = BENCHES[name];
if (load === undefined) {
  console.error(`usage: npm run bench -- ${Object.keys(BENCHES).join("|")}`);
  process.exit(2);
}
console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}, ${(totalmem() / 1e9).toFixed(0)} GB`);
await (await load()).run(options);
