/** `npm run faults` in short: every so many kill points. */

import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { whyNoStrace } from "../support/process.js";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { findKillPoints, killAt } from "./kill-points.js";
import { WORKSPACES } from "./workspace.js";

const reason = whyNoStrace();

/** Points of each sweep; the last ones lie around the rename and are all taken. */
const SPREAD = 3;
const LAST = 6;

const CASES = Object.entries(WORKSPACES).flatMap(([what, create]) =>
  (["absent", "old"] as const).map((before) => ({ what, create, before })),
);

describe.each(CASES)("a merge into $what that is killed while its output is $before", ({ create, before }) => {
  test("leaves the output absent, old or new, and nothing that hinders the next run", async (context) => {
    context.skip(reason !== undefined, reason);
    const folder = temporaryFolder();
    const workspace = await create(folder);
    const args = before === "old" ? [...workspace.args, "--overwrite"] : workspace.args;
    if (before === "old") workspace.placeOld();
    const points = findKillPoints(workspace, args, join(folder, "trace"));
    expect(points.length).toBeGreaterThan(100);
    const step = Math.floor((points.length - LAST) / SPREAD);
    const chosen = points.filter((_, index) => index % step === 0 || index >= points.length - LAST);
    const states = new Set<string>();
    for (const point of chosen) {
      const { violations, state } = await killAt(workspace, args, point, before);
      expect(violations, `${point.call} ${point.when}`).toEqual([]);
      states.add(state);
    }
    expect([...states]).toEqual(expect.arrayContaining([before, "new"]));
  });
});
