// @ts-check
/**
 * `npm run fuzz [-- --seconds 180 --seed N --target NAME --only SEED --python PATH --keep FOLDER]`
 *
 * Damages files and looks for anything but success or a typed error. With a Python that has safetensors it also compares
 * which files are read: no file may be that the reference refuses. Inputs of failures are kept.
 */

import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { compareWithReference } from "./differential.js";
import { fuzz, runOnce } from "./fuzz.js";
import { makeTargets } from "./targets.js";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "180" },
    seed: { type: "string", default: String(Date.now() % 2 ** 32) },
    target: { type: "string" },
    only: { type: "string" },
    python: { type: "string" },
    keep: { type: "string", default: join(tmpdir(), "lora-tool-fuzz-failures") },
  },
});
const seed = Number(values.seed) >>> 0;
const folder = mkdtempSync(join(tmpdir(), "lora-tool-fuzz-"));
let failed = false;
try {
  const targets = makeTargets(folder).filter(({ name }) => values.target === undefined || name === values.target);
  if (values.only !== undefined) {
    for (const target of targets) console.log(target.name, await runOnce(target, Number(values.only)));
  } else {
    console.log(`seed ${seed}`);
    const { tallies, failures, slowest } = await fuzz(targets, {
      seconds: Number(values.seconds),
      seed,
      onFailure: ({ target, seed: own, what }, { files }) => {
        const kept = join(values.keep, `${target.replace(" ", "-")}-${own}`);
        mkdirSync(kept, { recursive: true });
        for (const file of files) cpSync(file, join(kept, basename(file)), { recursive: true });
        console.log(`FAILED ${target} (--target "${target}" --only ${own}), input in ${kept}\n${what}`);
      },
    });
    for (const [name, { executions, accepted, refused }] of tallies) {
      const codes = [...refused].sort(([, a], [, b]) => b - a).map(([code, times]) => `${code} ${times}`);
      console.log(`${name}: ${executions} executions, ${accepted} accepted; ${codes.join(", ")}`);
    }
    console.log(`slowest execution ${slowest.toFixed(2)} s, ${failures.length} failures`);
    failed = failures.length > 0;
  }
  if (values.python !== undefined) failed = !compareWithReference(values.python, seed, folder, values.keep) || failed;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (failed) process.exitCode = 1;
