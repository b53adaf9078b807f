// @ts-check
/**
 * Kills a merge at each system call that can change what is on disk, and looks at what is left each time.
 *
 * strace counts the calls of each thread apart, and injects at the k-th call of a kind in whichever thread gets there
 * first. A first run without faults finds the k that concern the output; opening and closing are among the kinds, so that
 * the states between two writes of one thread are met even where another thread reaches the same k of the write itself.
 */

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LoraToolError, merge } from "lora-tool";
import { runCli, underStrace } from "../support/process.js";
import { inputsOf, leftoversOf, outputOf } from "./workspace.js";

const WRITING = [
  ...[
    "openat",
    "mkdir",
    "write",
    "writev",
    "pwrite64",
    "pwritev",
    "ftruncate",
    "fallocate",
    "fchmod",
    "copy_file_range",
  ],
  ...["sendfile", "fsync", "fdatasync", "rename", "renameat2", "link", "unlink", "unlinkat", "rmdir", "close"],
];

/**
 * @typedef {object} KillPoint
 * @property {string} call
 * @property {number} when the k-th call of this kind in a thread
 * @property {string} [path] only calls that concern this file count
 */

/**
 * The kill points of one run, in the order of the run.
 *
 * @param {import("./workspace.js").Workspace} workspace
 * @param {readonly string[]} args
 * @param {string} log a file to write to
 * @returns {KillPoint[]}
 */
export function findKillPoints({ out }, args, log) {
  const trace = ["strace", "-f", "-qq", "-y", "-s", "4096", "-o", log, "-e", `trace=${WRITING.join(",")}`];
  const { code, stderr } = runCli(args, { prefix: trace });
  if (code !== 0) throw new Error(`the run without faults failed: ${stderr}`);
  /** @type {Map<string, number>} */
  const counts = new Map();
  /** @type {Map<string, KillPoint>} */
  const points = new Map();
  for (const line of readFileSync(log, "utf8").split("\n")) {
    const [, thread, call] = /^(\d+)\s+(\w+)\(/.exec(line) ?? [];
    if (thread === undefined || call === undefined) continue;
    const countUp = (/** @type {string} */ key) => {
      counts.set(key, (counts.get(key) ?? 0) + 1);
      return counts.get(key) ?? 0;
    };
    const when = countUp(`${thread} ${call}`);
    // The folder around the output holds nothing else, stages included.
    const path = dirname(out);
    if (!line.includes(path)) continue;
    points.set(`${call} ${when}`, { call, when });
    // What happens to that folder itself surrounds the rename; other threads' calls would hide it.
    if (!line.includes(`"${path}"`) && !line.includes(`<${path}>)`)) continue;
    const own = countUp(`${thread} ${call} ${path}`);
    points.set(`${call} ${own} ${path}`, { call, when: own, path });
  }
  return [...points.values()];
}

/**
 * Kills one run at one point and checks all that was promised.
 *
 * @param {import("./workspace.js").Workspace} workspace
 * @param {readonly string[]} args
 * @param {KillPoint} point
 * @param {"absent" | "old"} before what the output is before the run
 * @returns {Promise<{ killed: boolean, state: string, violations: string[] }>}
 */
export async function killAt(workspace, args, { call, when, path }, before) {
  const { out, golden, old, inputs, base, adapter, outputNames } = workspace;
  if (before === "old") workspace.placeOld();
  else workspace.clear();
  const { code, signal } = runCli(args, {
    prefix: underStrace([`${call}:signal=SIGKILL:when=${when}`], { paths: path === undefined ? [] : [path] }),
  });
  const killed = signal === "SIGKILL" || code === 137;
  const violations = [];
  const names = new Map([
    ["absent", "absent"],
    [golden, "new"],
  ]);
  if (before === "old") names.set(old, "old");
  const state = names.get(outputOf(workspace)) ?? "broken";
  if (state === "broken") violations.push("the output is neither absent, old nor new");
  if (!killed && code !== 0) violations.push(`exit code ${code}`);
  if (!killed && state !== "new") violations.push("a run that ended well wrote something else");

  // Exactly the same command again; only what is complete may be in its way: an output, or data whose model is not there yet.
  const again = (/** @type {boolean} */ overwrite) =>
    merge({ base, adapters: [{ path: adapter }], out, workers: 1, overwrite });
  try {
    await again(args.includes("--overwrite"));
  } catch (error) {
    const exists = error instanceof LoraToolError && error.code === "OUTPUT_EXISTS" ? error.file : undefined;
    const isData = state === "absent" && outputNames.slice(1).some((name) => exists === join(dirname(out), name));
    if (isData) await again(true);
    else if (exists === undefined || state !== "new") violations.push(`the next run failed: ${error}`);
  }
  if (outputOf(workspace) !== golden) violations.push("the next run wrote something else");
  const leftovers = leftoversOf(workspace);
  if (leftovers.length > 0) violations.push(`left behind: ${leftovers.join(", ")}`);
  if (inputsOf(workspace) !== inputs) violations.push("an input changed");
  return { killed, state, violations };
}
