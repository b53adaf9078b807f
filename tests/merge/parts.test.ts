/** A merge made in parts equals one made at once, and parts that do not belong together are not joined. */

import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type MergeOptions, merge } from "lora-tool/merge";
import { describe, expect, test } from "vitest";
import { tensorsOfPart } from "../../src/merge/parts.ts";
import type { PlannedTensor } from "../../src/merge/plan.ts";
import { errorOfBuilt } from "../support/errors.ts";
import { stateOf } from "../support/folder-state.js";
import { adaptersOf, unpackGraph } from "../support/onnx-merge.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { BASE_TENSORS, pair, Q, writeAdapter, writeBase } from "./small-model.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
const adapters = [
  { path: join(FIXTURES, "adapters/shakespeare-dora-r8") },
  { path: join(FIXTURES, "adapters/shakespeare-patterns"), weight: 0.5 },
];

async function mergeInParts(options: MergeOptions, count: number): Promise<void> {
  for (let index = 1; index <= count; index++) await merge({ ...options, part: { index, count } });
}

describe("parts that are joined", () => {
  test.each<[string, number, Partial<MergeOptions>]>([
    ["stories260K", 3, {}],
    ["stories260K", 1, {}],
    ["stories260K", 4, { maxShardSize: 200_000 }],
    ["stories260K-sharded-bf16", 3, {}],
    ["stories260K-sharded-bf16", 2, { dtype: "f32", maxShardSize: 400_000 }],
  ])("make %s in %d parts byte for byte what one run makes", async (base, count, more) => {
    const folder = temporaryFolder();
    const options = { base: join(FIXTURES, base), adapters, workers: 1, ...more };
    const whole = await merge({ ...options, out: join(folder, "whole") });
    const out = join(folder, "joined");
    await mergeInParts({ ...options, out }, count);
    expect(existsSync(out)).toBe(false);
    const joined = await merge({ ...options, out, finish: true, verify: true });
    expect(stateOf(out)).toBe(stateOf(join(folder, "whole")));
    expect({ ...joined.result, seconds: 0 }).toEqual({ ...whole.result, seconds: 0 });
    expect(readdirSync(folder).sort()).toEqual(["joined", "whole"]);
  });

  test.each<[string, string, Partial<MergeOptions>]>([
    ["tied-both", "dynamo", {}],
    ["multi-adapter", "dynamo", {}],
    ["gpt2-dora", "torchscript", {}],
    ["llama-embedding", "unmerged-torchscript", { adapters: [], fold: true }],
  ])("make the graph %s, %s, byte for byte what one run makes", async (name, graph, more) => {
    const options = { base: unpackGraph(name, graph, false), adapters: adaptersOf(name), workers: 1, ...more };
    const [whole, joined] = [join(temporaryFolder(), "out"), join(temporaryFolder(), "out")];
    for (const folder of [whole, joined]) mkdirSync(folder);
    const { result } = await merge({ ...options, out: join(whole, "m.onnx") });
    await mergeInParts({ ...options, out: join(joined, "m.onnx") }, 3);
    expect(readdirSync(joined)).toEqual(["m.onnx.parts"]);
    const finished = await merge({ ...options, out: join(joined, "m.onnx"), finish: true, verify: true });
    expect({ ...finished.result, seconds: 0 }).toEqual({ ...result, seconds: 0 });
    expect(stateOf(joined)).toBe(stateOf(whole));
  });

  test("may come from machines where everything lies elsewhere", async () => {
    const folder = temporaryFolder();
    const here = {
      base: writeBase(folder),
      adapters: [{ path: writeAdapter(folder) }],
      out: join(folder, "out"),
      workers: 1,
    };
    await merge({ ...here, part: { index: 1, count: 2 } });
    cpSync(here.base, join(folder, "there/base"), { recursive: true });
    cpSync(join(folder, "adapter"), join(folder, "there/adapter"), { recursive: true });
    const there = { base: join(folder, "there/base"), adapters: [{ path: join(folder, "there/adapter") }] };
    await merge({ ...there, out: join(folder, "there/out"), part: { index: 2, count: 2 } });
    const second = "out.parts/part-00002-of-00002";
    renameSync(join(folder, "there", second), join(folder, second));
    await merge({ ...here, finish: true });
    await merge({ ...here, out: join(folder, "whole") });
    expect(stateOf(here.out)).toBe(stateOf(join(folder, "whole")));
  });

  test("may be more than there are tensors", async () => {
    const folder = temporaryFolder();
    const options = { base: writeBase(folder), adapters: [{ path: writeAdapter(folder) }], workers: 1 };
    await merge({ ...options, out: join(folder, "whole") });
    await mergeInParts({ ...options, out: join(folder, "joined") }, 6);
    await merge({ ...options, out: join(folder, "joined"), finish: true });
    expect(stateOf(join(folder, "joined"))).toBe(stateOf(join(folder, "whole")));
  });

  test("may be made again", async () => {
    const folder = temporaryFolder();
    const options = {
      base: writeBase(folder),
      adapters: [{ path: writeAdapter(folder) }],
      out: join(folder, "out"),
      workers: 1,
    };
    await mergeInParts(options, 2);
    await mergeInParts(options, 2);
    expect(readdirSync(`${options.out}.parts`)).toEqual(["part-00001-of-00002", "part-00002-of-00002"]);
    await merge({ ...options, finish: true });
    expect(existsSync(options.out)).toBe(true);
  });
});

describe("parts that do not make up one merge are refused:", () => {
  type Change = (folder: string, options: MergeOptions) => Partial<MergeOptions> | Promise<void> | void;
  const part = (index: number, name = "") => `out.parts/part-0000${index}-of-00002/${name}`;
  const other = (folder: string, settings: object) => [{ path: writeAdapter(folder, undefined, settings, "other") }];

  test.each<[string, Change, string, RegExp]>([
    [
      "one is missing",
      (folder) => void rmSync(join(folder, part(2)), { recursive: true }),
      "PARTS_MISMATCH",
      /part 2 of 2 is missing/,
    ],
    [
      "none was made",
      (folder) => void rmSync(join(folder, "out.parts"), { recursive: true }),
      "PARTS_MISMATCH",
      /got none/,
    ],
    [
      "they come from two cuts",
      async (_, options) => void (await merge({ ...options, part: { index: 1, count: 3 } })),
      "PARTS_MISMATCH",
      /of 2|of 3/,
    ],
    [
      "another adapter",
      (folder) => ({ adapters: other(folder, { r: 2, lora_alpha: 8 }) }),
      "PARTS_MISMATCH",
      /part 1 of 2 was made from other inputs\n.*part 2/,
    ],
    [
      "another weight",
      (_, { adapters }) => ({ adapters: adapters.map(({ path }) => ({ path, weight: 2 })) }),
      "PARTS_MISMATCH",
      /other inputs/,
    ],
    ["another dtype", () => ({ dtype: "bf16" }), "PARTS_MISMATCH", /other inputs/],
    [
      "another base of the same size",
      (folder) => {
        const changed = { ...BASE_TENSORS, [`${Q}.weight`]: { shape: [6, 8], value: () => 0.25 } };
        rmSync(join(folder, "base"), { recursive: true });
        return { base: writeBase(folder, changed) };
      },
      "PARTS_MISMATCH",
      /other inputs/,
    ],
    ["one has no record", (folder) => void rmSync(join(folder, part(1, "part.json"))), "FILE_NOT_FOUND", /part\.json/],
    [
      "a record is no JSON",
      (folder) => void writeFileSync(join(folder, part(1, "part.json")), "{"),
      "INVALID_JSON",
      /part\.json/,
    ],
    [
      "a record is another JSON",
      (folder) => void writeFileSync(join(folder, part(1, "part.json")), '{"stats":{"a":null}}'),
      "INVALID_JSON",
      /part\.json/,
    ],
    [
      "one has lost its tensors",
      (folder) => void rmSync(join(folder, part(2, "tensors.safetensors"))),
      "FILE_NOT_FOUND",
      /tensors\.safetensors/,
    ],
    [
      "one is cut short",
      (folder) => void truncateSync(join(folder, part(2, "tensors.safetensors")), 200),
      "HEADER_TRUNCATED|DATA_TRUNCATED",
      /tensors\.safetensors/,
    ],
    [
      "one holds the tensors of the other",
      (folder) =>
        void cpSync(join(folder, part(1, "tensors.safetensors")), join(folder, part(2, "tensors.safetensors"))),
      "PARTS_MISMATCH",
      /is in no part/,
    ],
  ])("%s", async (_, change, code, mentions) => {
    const folder = temporaryFolder();
    const options: MergeOptions = {
      base: writeBase(folder),
      adapters: [{ path: writeAdapter(folder) }],
      out: join(folder, "out"),
      workers: 1,
    };
    await mergeInParts(options, 2);
    const changed = await change(folder, options);
    const parts = stateOf(join(folder, "out.parts"));
    const error = await errorOfBuilt(() => merge({ ...options, ...changed, finish: true }));
    expect(error.code).toMatch(new RegExp(`^(?:${code})$`));
    expect(error.message).toMatch(mentions);
    expect(existsSync(options.out)).toBe(false);
    expect(stateOf(join(folder, "out.parts"))).toBe(parts);
  });

  test("all of them, when together they change nothing", async () => {
    const folder = temporaryFolder();
    const zero = Object.fromEntries(
      Object.entries(pair(Q)).map(([name, { shape }]) => [name, { shape, value: () => 0 }]),
    );
    const options = {
      base: writeBase(folder),
      adapters: [{ path: writeAdapter(folder, zero) }],
      out: join(folder, "out"),
      workers: 1,
    };
    await mergeInParts(options, 2);
    expect((await errorOfBuilt(() => merge({ ...options, finish: true }))).code).toBe("NOTHING_CHANGED");
    await merge({ ...options, finish: true, allowUnchanged: true });
    expect(existsSync(options.out)).toBe(true);
  });
});

describe("the cut", () => {
  const tensor = (index: number, rows: number): PlannedTensor => {
    const source = {
      name: `t${index}`,
      dtype: "f32",
      shape: [rows],
      byteLength: 4 * rows,
      source: { kind: "memory", bytes: new Uint8Array() },
    } as const;
    return {
      name: source.name,
      action: "copy",
      source,
      dtype: "f32",
      shape: [rows],
      view: [rows, 1],
      steps: [],
      modules: [],
    };
  };
  const tensorsOf = (sizes: readonly number[]) => sizes.map((rows, index) => tensor(index, rows));

  test.each([
    [[5, 1, 900, 3, 3, 3]],
    [[0, 0, 0]],
    [[1]],
    [[7, 0, 7, 0, 7]],
    [Array.from({ length: 100 }, (_, index) => index % 13)],
  ])("of sizes %j gives each tensor to exactly one part, in order", (sizes) => {
    const tensors = tensorsOf(sizes);
    for (const count of [1, 2, 3, 7, 200]) {
      const parts = Array.from({ length: count }, (_, index) => tensorsOfPart(tensors, { index: index + 1, count }));
      expect(parts.flat().map(({ name }) => name)).toEqual(sizes.map((_, index) => `t${index}`));
    }
  });

  test("shares the bytes out evenly", () => {
    const tensors = tensorsOf(Array.from({ length: 400 }, (_, index) => 100 + (index % 7)));
    const bytes = [1, 2, 3, 4].map((index) =>
      tensorsOfPart(tensors, { index, count: 4 }).reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0),
    );
    expect(Math.max(...bytes) / Math.min(...bytes)).toBeLessThan(1.02);
  });
});
