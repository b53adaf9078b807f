/** `npm run fuzz` in short, and proof that it would see a fault. */

import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { fuzz } from "./fuzz.js";
import { makeTargets, type Target } from "./targets.js";

/** On a busy machine; what is executed must not depend on how busy it is. */
const MAX_SECONDS = 300;

test(
  "damaged files are read or refused with a typed error, soon and in little memory",
  async () => {
    const { tallies, failures } = await fuzz(makeTargets(temporaryFolder()), {
      seconds: MAX_SECONDS,
      executions: 2500,
      seed: 20_260_101,
    });
    expect(failures).toEqual([]);
    for (const [name, { executions, accepted, refused }] of tallies) {
      expect(executions, name).toBeGreaterThan(5);
      expect(accepted, name).toBeGreaterThan(0);
      expect(refused.size, name).toBeGreaterThan(1);
    }
  },
  1000 * MAX_SECONDS,
);

describe("the fuzzer reports", () => {
  const targetOf = (act: () => Promise<unknown>): Target => ({ name: "x", weight: 1, files: [], prepare: () => act });

  test.each<[string, () => Promise<unknown>, RegExp]>([
    ["nothing where all is well", async () => 1, /^$/],
    ["a bug", async () => (undefined as unknown as string[]).length, /^escaped: TypeError/],
    ["a hang", () => new Promise((resolve) => setTimeout(resolve, 2100)), /^took 2\.\d s$/],
    [
      "a changed prototype",
      async () => {
        Object.assign(Object.prototype, { polluted: true });
      },
      /^changed a prototype/,
    ],
  ])("%s", async (_, act, what) => {
    try {
      const { failures } = await fuzz([targetOf(act)], { seconds: 0.01, seed: 1 });
      expect(failures[0]?.what ?? "").toMatch(what);
    } finally {
      Reflect.deleteProperty(Object.prototype, "polluted");
    }
  });
});
