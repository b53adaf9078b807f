// @ts-check
/**
 * Folders to break things in: a base in four shards or an ONNX graph with its data, an adapter, and what the merge of both
 * must be.
 */

import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { convert, merge } from "lora-tool";
import { stateOf } from "../support/folder-state.js";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
const ADAPTER = join(FIXTURES, "adapters/shakespeare-lora-r8");
const PLAIN = join(FIXTURES, "stories260K");

/**
 * @typedef {object} Workspace
 * @property {string} base
 * @property {string} adapter
 * @property {string} out where the merge goes; absent at first
 * @property {readonly string[]} args of the merge
 * @property {readonly string[]} inputNames files and folders that are read
 * @property {readonly string[]} outputNames names of the output in its folder, `out` first
 * @property {string} inputs what `inputsOf` says before anything runs
 * @property {string} golden what `outputOf` says of a merge without faults
 * @property {string} old what `outputOf` says after `placeOld`
 * @property {() => void} clear empties the folder around the output
 * @property {() => void} placeOld clears, then puts an older output there
 */

/**
 * A folder as the output, of a base in four shards.
 *
 * @param {string} folder an empty one
 * @returns {Promise<Workspace>}
 */
export async function createWorkspace(folder) {
  const base = join(folder, "base");
  await merge({ base: PLAIN, adapters: [{ path: ADAPTER, weight: 0.5 }], out: base, maxShardSize: 300_000 });
  const out = join(folder, "work/out");
  return workspaceOf({ base, out, inputNames: [base, ADAPTER], outputNames: ["out"] }, () => {
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, "model.safetensors"), "the old weights");
    writeFileSync(join(out, "config.json"), "{}");
  });
}

/**
 * A model and its data file as the output, of an ONNX graph with external data. The old output is one that works, so that
 * old and new could be mixed.
 *
 * @param {string} folder an empty one
 * @returns {Promise<Workspace>}
 */
async function createGraphWorkspace(folder) {
  const base = join(folder, "base/model.onnx");
  mkdirSync(dirname(base));
  await convert({ input: PLAIN, to: "onnx", out: base });
  const out = join(folder, "work/out.onnx");
  const older = join(folder, "older/out.onnx");
  mkdirSync(dirname(older));
  await merge({ base, adapters: [{ path: ADAPTER, weight: 0.5 }], out: older });
  const names = { inputNames: [dirname(base), ADAPTER], outputNames: ["out.onnx", "out.onnx_data"] };
  return workspaceOf({ base, out, ...names }, () => cpSync(dirname(older), dirname(out), { recursive: true }));
}

export const WORKSPACES = /** @type {const} */ ({
  "a folder": createWorkspace,
  "a graph with external data": createGraphWorkspace,
});

/**
 * @param {Pick<Workspace, "base" | "out" | "inputNames" | "outputNames">} places
 * @param {() => void} writeOld
 * @returns {Promise<Workspace>}
 */
async function workspaceOf(places, writeOld) {
  const { base, out } = places;
  const clear = () => {
    rmSync(dirname(out), { recursive: true, force: true });
    mkdirSync(dirname(out));
  };
  const placeOld = () => {
    clear();
    writeOld();
  };
  clear();
  await merge({ base, adapters: [{ path: ADAPTER }], out });
  const golden = outputOf(places);
  placeOld();
  const old = outputOf(places);
  clear();
  const args = ["merge", base, ADAPTER, "-o", out, "--workers", "1"];
  return { ...places, adapter: ADAPTER, args, inputs: inputsOf(places), golden, old, clear, placeOld };
}

/** @param {Pick<Workspace, "inputNames">} workspace */
export function inputsOf({ inputNames }) {
  return inputNames.map(stateOf).join(" ");
}

/**
 * What the output is: a model counts with its data, and data without a model is no output.
 *
 * @param {Pick<Workspace, "out" | "outputNames">} workspace
 */
export function outputOf({ out, outputNames }) {
  if (!existsSync(out)) return "absent";
  return outputNames.map((name) => stateOf(join(dirname(out), name))).join(" ");
}

/**
 * Names beside the output that no finished run leaves.
 *
 * @param {Pick<Workspace, "out" | "outputNames">} workspace
 */
export function leftoversOf({ out, outputNames }) {
  if (!existsSync(dirname(out))) return [];
  return readdirSync(dirname(out)).filter((name) => !outputNames.includes(name));
}
