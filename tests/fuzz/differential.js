// @ts-check
/**
 * Which damaged safetensors files are read here and which by the reference, Python's safetensors: none may be read here
 * only. What the reference alone reads must be refused for a reason that is known.
 */

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LoraToolError } from "lora-tool";
import { openStore } from "lora-tool/formats";
import { mutateSafetensors } from "./mutate.js";
import { Random } from "./random.js";
import { SAFETENSORS_SEEDS } from "./targets.js";

const BATCHES = 20;
const BATCH = 500;

const SCRIPT = `
import json, sys, safetensors
verdicts = []
for number in range(int(sys.argv[2])):
    with open(f"{sys.argv[1]}/{number}.safetensors", "rb") as file:
        data = file.read()
    try:
        verdicts.append(["accepted", len(safetensors.deserialize(data))])
    except Exception as error:
        verdicts.append([str(error), 0])
print(json.dumps(verdicts))
`;

/** Rules that are stricter here on purpose: equal keys, positional entries, sizes above 2^53 − 1, over 64 dimensions. */
const STRICTER = [
  /stands twice/,
  /expected dtype, shape and data_offsets/,
  /expected at most 64 dimensions/,
  /shape must be a list of whole numbers/,
  /data_offsets must be two whole numbers/,
  /overflows/,
];

/**
 * @param {string} python
 * @param {number} seed
 * @param {string} folder to work in
 * @param {string} keep where files that differ are kept
 * @returns {boolean} whether no file is read here only
 */
export function compareWithReference(python, seed, folder, keep) {
  const random = new Random(seed ^ 0x5afe);
  const [onlyHere, onlyThere] = [[""].slice(1), new Map([["", 0]])];
  onlyThere.clear();
  let [both, neither, unexplained] = [0, 0, 0];
  for (let batch = 0; batch < BATCHES; batch++) {
    for (let number = 0; number < BATCH; number++) {
      writeFileSync(join(folder, `${number}.safetensors`), mutateSafetensors(random, random.pick(SAFETENSORS_SEEDS)));
    }
    const verdicts = JSON.parse(execFileSync(python, ["-c", SCRIPT, folder, String(BATCH)], { encoding: "utf8" }));
    for (let number = 0; number < BATCH; number++) {
      const path = join(folder, `${number}.safetensors`);
      const [verdict, tensors] = verdicts[number];
      const own = readHere(path);
      if (own.accepted && verdict === "accepted" && own.tensors === tensors) both++;
      else if (own.accepted) {
        onlyHere.push(
          `${verdict} (${own.tensors} tensors here, ${tensors} there): ${keepFile(path, keep, `here-${seed}-${batch}-${number}`)}`,
        );
      } else if (verdict !== "accepted") neither++;
      else {
        const rule = namesTwice(path) ? /stands twice/ : STRICTER.find((pattern) => pattern.test(own.message));
        const reason = rule === undefined ? own.message.replace(path, "") : String(rule);
        onlyThere.set(reason, (onlyThere.get(reason) ?? 0) + 1);
        if (rule === undefined) {
          unexplained++;
          keepFile(path, keep, `there-${seed}-${batch}-${number}`);
        }
      }
    }
  }
  console.log(`against the reference: ${both} read by both, ${neither} by neither, ${onlyHere.length} only here`);
  for (const line of onlyHere) console.log(`  ONLY HERE: ${line}`);
  for (const [reason, count] of onlyThere) console.log(`  only there: ${count} times ${reason}`);
  if (unexplained > 0) console.log(`  ${unexplained} of them for a reason that is not on the list`);
  return onlyHere.length === 0;
}

/** @param {string} path */
function readHere(path) {
  try {
    return { accepted: true, tensors: openStore(path).tensors.size, message: "" };
  } catch (error) {
    if (error instanceof LoraToolError) return { accepted: false, tensors: 0, message: error.message };
    throw error;
  }
}

/**
 * Whether a tensor is named twice; then the reference does not look at what the first of the two says.
 *
 * @param {string} path
 */
function namesTwice(path) {
  const names = [...readFileSync(path, "latin1").matchAll(/"([^"]*)"\s*:\s*[{[]/g)].map(([, name]) => name);
  return new Set(names).size < names.length;
}

/** @param {string} path @param {string} keep @param {string} name */
function keepFile(path, keep, name) {
  mkdirSync(keep, { recursive: true });
  const kept = join(keep, `${name}.safetensors`);
  copyFileSync(path, kept);
  return kept;
}
