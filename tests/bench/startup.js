/** How long `--help` takes, as a whole process, against an empty Node process. */

import { spawnSync } from "node:child_process";
import { join } from "node:path";

const RUNS = 15;

export async function run() {
  const bin = join(import.meta.dirname, "../../bin/lora-tool.js");
  const times = { "node -e ''": [], "lora-tool --help": [] };
  for (let index = 0; index < RUNS; index++) {
    times["node -e ''"].push(seconds(["-e", ""]));
    times["lora-tool --help"].push(seconds([bin, "--help"]));
  }
  for (const [name, values] of Object.entries(times)) {
    console.log(`${name}: median ${values.sort((a, b) => a - b)[Math.floor(RUNS / 2)]?.toFixed(3)} s`);
  }
}

function seconds(args) {
  const started = performance.now();
  spawnSync(process.execPath, args);
  return (performance.now() - started) / 1000;
}
