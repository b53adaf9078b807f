/** The proof finds what is wrong with a merged model, and only that. */

import { closeSync, cpSync, openSync, readFileSync, readSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { merge, type VerifyReport, verify } from "lora-tool/merge";
import { describe, expect, test } from "vitest";
import { openModel } from "../../src/formats/open-model.ts";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import type { TensorData } from "../../src/formats/tensor-store.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { BASE_TENSORS, pair, Q, type SmallTensors, V, writeAdapter, writeBase, writeTensors } from "./small-model.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
const base = join(FIXTURES, "stories260K-sharded-bf16");
const adapters = [{ path: join(FIXTURES, "adapters/shakespeare-patterns") }];

const EDITED = "model.layers.2.mlp.up_proj.weight";
const COPIED = "model.layers.2.input_layernorm.weight";

/** A merged model, changed, and the verdict. */
async function verdictOn(
  change: (merged: string, tensors: ReadonlyMap<string, TensorData>) => void,
): Promise<VerifyReport> {
  const merged = join(temporaryFolder(), "merged");
  await merge({ base, adapters, out: merged, workers: 1 });
  change(merged, (await openModel(merged)).store.tensors);
  return verify({ base, adapters, merged, workers: 1 });
}

function flip(tensor: TensorData | undefined, byte: number, mask: number): void {
  if (tensor?.source.kind !== "file") throw new Error("no such tensor");
  const fd = openSync(tensor.source.path, "r+");
  const value = Buffer.alloc(1);
  readSync(fd, value, 0, 1, tensor.source.offset + byte);
  value[0] = (value[0] ?? 0) ^ mask;
  writeSync(fd, value, 0, 1, tensor.source.offset + byte);
  closeSync(fd);
}

test("a merged model is all equal, element by element", async () => {
  const report = await verdictOn(() => {});
  expect(report).toMatchObject({
    passed: true,
    tensors: 47,
    elements: 260_032,
    different: 0,
    maxUlp: 0,
    problems: [],
    worst: [],
  });
  expect(report.exactElements).toBeGreaterThan(5000);
  expect(report.maxExactUlp).toBeLessThanOrEqual(0.5 + 1e-3);
});

describe("a merged model fails with", () => {
  // bfloat16 is sign, eight bits of exponent, seven of mantissa, low byte first.
  test.each([
    ["the sign", 1, 0x80],
    ["the highest bit of the exponent", 1, 0x40],
    ["the highest bit of the mantissa", 0, 0x40],
    ["a bit in the middle of the mantissa", 0, 0x08],
  ])("%s of one edited number flipped", async (_, byte, mask) => {
    const report = await verdictOn((_, tensors) => flip(tensors.get(EDITED), 2 * 1234 + byte, mask));
    expect(report.passed).toBe(false);
    expect(report).toMatchObject({ different: 1, worst: [{ name: EDITED, different: 1, passed: false }] });
  });

  test("any bit of a copied number flipped, even the lowest", async () => {
    const report = await verdictOn((_, tensors) => flip(tensors.get(COPIED), 2 * 7, 1));
    expect(report).toMatchObject({
      passed: false,
      different: 1,
      worst: [{ name: COPIED, different: 1, passed: false }],
    });
  });
});

describe("with a base of a few numbers", () => {
  /** What was merged; the folder has all of it. */
  interface Made {
    readonly folder: string;
    readonly inputs: { readonly base: string; readonly adapters: { path: string }[]; readonly workers: number };
    readonly merged: string;
  }

  const verdictOf = ({ inputs, merged }: Made) => verify({ ...inputs, merged });

  async function make(tensors: SmallTensors = BASE_TENSORS, settings: object = {}): Promise<Made> {
    const folder = temporaryFolder();
    const inputs = {
      base: writeBase(folder, tensors),
      adapters: [{ path: writeAdapter(folder, undefined, settings) }],
      workers: 1,
    };
    const merged = join(folder, "out");
    await merge({ ...inputs, out: merged });
    return { folder, inputs, merged };
  }

  /** Writes the merged weights anew, as the function has them. */
  function rewrite({ merged }: Made, change: (tensors: Map<string, TensorData>) => void): void {
    const path = join(merged, "model.safetensors");
    const bytes = readFileSync(path);
    const store = openSafetensors(path);
    const tensors = new Map(store.tensors);
    change(tensors);
    const values: Record<string, SmallTensors[string]> = {};
    for (const [name, { shape, source }] of tensors) {
      const start = source.kind === "file" ? source.offset : 0;
      values[name] = { shape, value: (index) => bytes.readFloatLE(start + 4 * index) };
    }
    writeTensors(path, values);
  }

  test.each<[string, object]>([
    ["another alpha", { lora_alpha: 4.01 }],
    ["the other convention", { use_rslora: true }],
  ])("%s than the merge had fails", async (_, settings) => {
    const made = await make();
    const adapter = writeAdapter(made.folder, undefined, settings, "other");
    const report = await verdictOf({ ...made, inputs: { ...made.inputs, adapters: [{ path: adapter }] } });
    expect(report.passed).toBe(false);
    expect(report.worst.map(({ name }) => name).sort()).toEqual([`${Q}.weight`, `${V}.weight`]);
  });

  test("another weight fails, and the base alone", async () => {
    const made = await make();
    const adapters = made.inputs.adapters.map(({ path }) => ({ path, weight: 1.001 }));
    expect((await verdictOf({ ...made, inputs: { ...made.inputs, adapters } })).passed).toBe(false);
    expect((await verdictOf({ ...made, merged: made.inputs.base })).passed).toBe(false);
  });

  test("a missing tensor, one too many and one of another shape are named", async () => {
    const made = await make();
    rewrite(made, (tensors) => {
      const [norm, q] = [tensors.get("model.norm.weight"), tensors.get(`${Q}.weight`)];
      if (norm === undefined || q === undefined) throw new Error("lost");
      tensors.delete("model.norm.weight");
      tensors.set("model.extra.weight", { ...norm, name: "model.extra.weight" });
      tensors.set(`${Q}.weight`, { ...q, shape: [8, 6] });
    });
    const report = await verdictOf(made);
    expect(report.passed).toBe(false);
    expect([...report.problems].sort()).toEqual([
      '"model.extra.weight": expected no such tensor, base and adapters give none',
      `"${Q}.weight": expected shape [6, 8], got [8, 6]`,
      '"model.norm.weight": the merged model lacks it',
    ]);
  });

  test("two tensors of one shape that were exchanged are named", async () => {
    const made = await make({ ...BASE_TENSORS, [`${V}.weight`]: { shape: [6, 8], value: (index) => index / 64 } });
    rewrite(made, (tensors) => {
      const [q, v] = [tensors.get(`${Q}.weight`), tensors.get(`${V}.weight`)];
      if (q === undefined || v === undefined) throw new Error("lost");
      tensors.set(`${Q}.weight`, v);
      tensors.set(`${V}.weight`, q);
    });
    const report = await verdictOf(made);
    expect(report.passed).toBe(false);
    expect(report.worst.map(({ name }) => name).sort()).toEqual([`${Q}.weight`, `${V}.weight`]);
  });

  test("an f32 model that was merged in another order of sums passes, and says how far it is", async () => {
    const made = await make();
    const path = join(made.merged, "model.safetensors");
    const tensor = openSafetensors(path).tensors.get(`${Q}.weight`);
    flip(tensor, 4 * 5, 1);
    const report = await verdictOf(made);
    expect(report).toMatchObject({ passed: true, different: 1, worst: [{ name: `${Q}.weight`, different: 1 }] });
    expect(report.maxUlp).toBeGreaterThan(0);
    expect(report.maxUlp).toBeLessThanOrEqual(1);
  });

  test("a model in another dtype passes when each number is rounded once", async () => {
    const made = await make();
    for (const dtype of ["bf16", "f16"] as const) {
      const merged = join(made.folder, dtype);
      await merge({ ...made.inputs, out: merged, dtype });
      expect(await verdictOf({ ...made, merged })).toMatchObject({ passed: true, different: 0 });
    }
  });

  test("numbers that are not finite pass through and are compared", async () => {
    const odd = {
      ...BASE_TENSORS,
      "model.mask": { shape: [4], value: (index: number) => [Number.NaN, -Infinity, 0, 1][index] ?? 0 },
    };
    const made = await make(odd);
    await merge({ ...made.inputs, out: join(made.folder, "again"), verify: true });
    expect((await verdictOf(made)).passed).toBe(true);
  });
});

describe("a merge that proves itself", () => {
  test("reports the proof", async () => {
    const out = join(temporaryFolder(), "out");
    const report = await merge({ base, adapters, out, verify: true });
    expect(report.verification).toMatchObject({ passed: true, tensors: 47, different: 0 });
  });

  test("compares every element, whatever the number of workers", async () => {
    const folder = temporaryFolder();
    const reports = [];
    for (const workers of [1, 3]) {
      const out = join(folder, String(workers));
      reports.push((await merge({ base, adapters, out, workers, verify: true })).verification);
    }
    expect(reports[0]).toEqual(reports[1]);
    cpSync(join(folder, "1"), join(folder, "moved"), { recursive: true });
    renameSync(join(folder, "moved"), join(folder, "elsewhere"));
    expect((await verify({ base, adapters, merged: join(folder, "elsewhere") })).passed).toBe(true);
  });
});

test("factors of several adapters are all counted", async () => {
  const folder = temporaryFolder();
  const small = writeBase(folder);
  const one = { path: writeAdapter(folder, pair(Q), {}, "one"), weight: 0.5 };
  const two = { path: writeAdapter(folder, { ...pair(Q), ...pair(V) }, { lora_alpha: 1 }, "two"), weight: -2 };
  const merged = join(folder, "out");
  await merge({ base: small, adapters: [one, two], out: merged });
  expect((await verify({ base: small, adapters: [one, two], merged })).passed).toBe(true);
  expect((await verify({ base: small, adapters: [one], merged })).passed).toBe(false);
});
