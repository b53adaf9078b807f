// @ts-check
/**
 * A folder to break things in: a base in four shards, an adapter, and what the merge of both must be.
 */

import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { merge } from "lora-tool";
import { stateOf } from "../support/folder-state.js";

const FIXTURES = join(import.meta.dirname, "../../fixtures");

/**
 * @typedef {object} Workspace
 * @property {string} base in four shards
 * @property {string} adapter
 * @property {string} out where the merge goes; absent at first
 * @property {readonly string[]} args of the merge
 * @property {string} inputs what `stateOf` says of both inputs
 * @property {string} golden what `stateOf` says of a merge without faults
 * @property {string} old what `stateOf` says after `placeOld`
 * @property {() => void} clear empties the folder around the output
 * @property {() => void} placeOld clears, then puts an older output there
 */

/**
 * @param {string} folder an empty one
 * @returns {Promise<Workspace>}
 */
export async function createWorkspace(folder) {
  const base = join(folder, "base");
  const adapter = join(FIXTURES, "adapters/shakespeare-lora-r8");
  const plain = join(FIXTURES, "stories260K");
  await merge({ base: plain, adapters: [{ path: adapter, weight: 0.5 }], out: base, maxShardSize: 300_000 });
  const out = join(folder, "work/out");
  await merge({ base, adapters: [{ path: adapter }], out });
  const golden = stateOf(out);
  const clear = () => {
    rmSync(dirname(out), { recursive: true, force: true });
    mkdirSync(dirname(out));
  };
  const placeOld = () => {
    clear();
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, "model.safetensors"), "the old weights");
    writeFileSync(join(out, "config.json"), "{}");
  };
  placeOld();
  const old = stateOf(out);
  clear();
  const inputs = stateOf(base) + stateOf(adapter);
  return {
    base,
    adapter,
    out,
    args: ["merge", base, adapter, "-o", out, "--workers", "1"],
    inputs,
    golden,
    old,
    clear,
    placeOld,
  };
}

/** @param {Workspace} workspace */
export function inputsOf({ base, adapter }) {
  return stateOf(base) + stateOf(adapter);
}

/**
 * Names beside the output that no finished run leaves.
 *
 * @param {string} out
 */
export function leftoversOf(out) {
  if (!existsSync(dirname(out))) return [];
  return readdirSync(dirname(out)).filter((name) => name !== basename(out));
}
