// @ts-check
/**
 * `npm run faults [-- --every N]`: kills a merge of four shards and one of an ONNX graph with external data at each system
 * call that writes, into a fresh target and over an old one, and checks that the output is absent, old or new each time.
 * Needs strace; says so and passes without.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { whyNoStrace } from "../support/process.js";
import { findKillPoints, killAt } from "./kill-points.js";
import { WORKSPACES } from "./workspace.js";

const { values } = parseArgs({ options: { every: { type: "string", default: "1" } } });
const every = Math.max(1, Number(values.every) || 1);

const reason = whyNoStrace();
if (reason !== undefined) {
  console.log(`skipped: ${reason}`);
  process.exit(0);
}

for (const [what, create] of Object.entries(WORKSPACES)) {
  const folder = mkdtempSync(join(tmpdir(), "lora-tool-faults-"));
  try {
    const workspace = await create(folder);
    for (const before of /** @type {const} */ (["absent", "old"])) {
      console.log(`${what} over ${before}: ${await sweep(workspace, before, join(folder, "trace"))}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Kills the merge at each point; returns what came of it, in words.
 *
 * @param {import("./workspace.js").Workspace} workspace
 * @param {"absent" | "old"} before
 * @param {string} log a file to write to
 */
async function sweep(workspace, before, log) {
  const args = before === "old" ? [...workspace.args, "--overwrite"] : workspace.args;
  if (before === "old") workspace.placeOld();
  const points = findKillPoints(workspace, args, log).filter((_, index) => index % every === 0);
  /** @type {Record<string, number>} */
  const states = {};
  let [violations, missed] = [0, 0];
  for (const [index, point] of points.entries()) {
    const result = await killAt(workspace, args, point, before);
    if (!result.killed) missed++;
    states[result.state] = (states[result.state] ?? 0) + 1;
    for (const violation of result.violations) {
      violations++;
      console.log(`${point.call} ${point.when}: ${violation}`);
    }
    if (process.stderr.isTTY) process.stderr.write(`\r${before}: ${index + 1} of ${points.length}`);
  }
  if (violations > 0) process.exitCode = 1;
  const outcome = Object.entries(states).map(([state, count]) => `${count} ${state}`);
  return `${points.length} kill points (${missed} not reached), then ${outcome.join(", ")}; ${violations} violations`;
}
