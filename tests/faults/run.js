// @ts-check
/**
 * `npm run faults [-- --every N]`: kills a merge of four shards at each system call that writes, into a fresh target and
 * over an old one, and checks that the output is absent, old or new each time. Needs strace; says so and passes without.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { whyNoStrace } from "../support/process.js";
import { findKillPoints, killAt } from "./kill-points.js";
import { createWorkspace } from "./workspace.js";

const { values } = parseArgs({ options: { every: { type: "string", default: "1" } } });
const every = Math.max(1, Number(values.every) || 1);

const reason = whyNoStrace();
if (reason !== undefined) {
  console.log(`skipped: ${reason}`);
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), "lora-tool-faults-"));
try {
  const workspace = await createWorkspace(folder);
  for (const before of /** @type {const} */ (["absent", "old"])) {
    const args = before === "old" ? [...workspace.args, "--overwrite"] : workspace.args;
    if (before === "old") workspace.placeOld();
    const points = findKillPoints(workspace, args, join(folder, "trace")).filter((_, index) => index % every === 0);
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
    const outcome = Object.entries(states)
      .map(([state, count]) => `${count} ${state}`)
      .join(", ");
    console.log(
      `over ${before}: ${points.length} kill points (${missed} not reached), then ${outcome}; ${violations} violations`,
    );
    if (violations > 0) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
