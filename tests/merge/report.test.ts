/** What a merge tells: counts, scales, progress. */

import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { ProgressEvent } from "lora-tool";
import { merge } from "lora-tool/merge";
import { describe, expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { BASE_TENSORS, pair, Q, writeAdapter, writeBase } from "./small-model.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");

describe("a report", () => {
  test("sums up adapters by rank, scale and method", async () => {
    const names = ["shakespeare-rslora-r64", "shakespeare-dora-r8", "shakespeare-patterns"];
    const adapters = names.map((name) => ({ path: join(FIXTURES, "adapters", name) }));
    const report = await merge({ base: join(FIXTURES, "stories260K"), adapters, out: "unused", dryRun: true });
    expect(report.adapters.map(({ method, layout, weight }) => [method, layout, weight])).toEqual([
      ["rsLoRA", "peft", 1],
      ["DoRA", "peft", 1],
      ["rsLoRA", "peft", 1],
    ]);
    const [rslora, dora, patterns] = report.adapters;
    expect(rslora).toMatchObject({ rank: [64, 64], scale: [2, 2] });
    expect(dora).toMatchObject({ rank: [8, 8], scale: [2, 2] });
    expect(patterns?.rank[0]).toBeLessThan(patterns?.rank[1] ?? 0);
    expect(patterns?.scale[0]).toBeLessThan(patterns?.scale[1] ?? 0);
  });

  test("counts the elements that changed and the deltas that the rounding swallowed", async () => {
    const folder = temporaryFolder();
    const tensors = { ...BASE_TENSORS, [`${Q}.weight`]: { shape: [6, 8], dtype: "bf16", value: () => 1 } } as const;
    // The first row of B moves its row of W, the second is too small for bfloat16, the others are zero.
    const adapter = writeAdapter(folder, {
      [`base_model.model.${Q}.lora_A.weight`]: { shape: [2, 8], value: () => 1 },
      [`base_model.model.${Q}.lora_B.weight`]: { shape: [6, 2], value: (index) => [1, 0, 1e-4, 0][index] ?? 0 },
    });
    const out = join(folder, "out");
    const { result, tensors: counts } = await merge({
      base: writeBase(folder, tensors),
      adapters: [{ path: adapter }],
      out,
    });
    expect(result).toMatchObject({ elements: 48, changed: 8, lost: 8 });
    expect(counts).toEqual({ copy: 3, cast: 0, merge: 1, replace: 0, untie: 0, new: 0, remove: 0 });
  });

  test("gives size and hash of every weights file as it lies on disk", async () => {
    const out = join(temporaryFolder(), "out");
    const adapters = [{ path: join(FIXTURES, "adapters/shakespeare-lora-r8") }];
    const { result } = await merge({ base: join(FIXTURES, "stories260K"), adapters, out, maxShardSize: 400_000 });
    expect(result?.files.length).toBeGreaterThan(2);
    let bytes = 0;
    for (const { name, sha256 } of result?.files ?? []) {
      expect(
        createHash("sha256")
          .update(readFileSync(join(out, name)))
          .digest("hex"),
      ).toBe(sha256);
      bytes += statSync(join(out, name)).size;
    }
    expect(result?.bytes).toBe(bytes);
  });
});

test("progress grows to its total in each phase and names what is worked on", async () => {
  const folder = temporaryFolder();
  const events: ProgressEvent[] = [];
  const options = {
    base: writeBase(folder),
    adapters: [{ path: writeAdapter(folder, pair(Q)) }],
    out: join(folder, "out"),
  };
  await merge({ ...options, verify: true, onProgress: (event) => void events.push(event) });
  expect([...new Set(events.map(({ phase }) => phase))]).toEqual(["merge", "hash", "verify"]);
  for (const phase of ["merge", "hash", "verify"]) {
    const own = events.filter((event) => event.phase === phase);
    for (const [index, { done, total }] of own.entries()) {
      expect(done).toBeGreaterThanOrEqual(own[index - 1]?.done ?? 0);
      expect(total).toBe(own[0]?.total);
    }
    expect(own.at(-1)?.done).toBe(own[0]?.total);
  }
  expect(events.some(({ subject }) => subject === `${Q}.weight`)).toBe(true);
});
