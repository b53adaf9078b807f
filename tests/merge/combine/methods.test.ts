/** `merge --method` against PEFT's own functions on the full deltas, and DARE against what it promises. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type MergeOptions, merge } from "lora-tool";
import { describe, expect, test } from "vitest";
import { openSafetensors } from "../../../src/formats/safetensors/reader.ts";
import { deltasOf, norm } from "../../support/deltas.ts";
import { errorOfBuilt } from "../../support/errors.ts";
import { numbersOf } from "../../support/read-tensor.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { pair, Q, V, writeAdapter, writeBase } from "../small-model.ts";

const FIXTURES = join(import.meta.dirname, "../../../fixtures");
const CASE = join(FIXTURES, "low-rank/combine/mixed");
const { weights, options } = JSON.parse(readFileSync(join(CASE, "case.json"), "utf8"));
const adapters = ["first", "second", "third"].map((name, index) => ({
  path: join(CASE, name),
  weight: weights[index],
}));
const EMBEDDING = "model.embed_tokens";

/** Merged minus base, by module, as [outputs, inputs]. */
async function changes(base: string, wish: Omit<MergeOptions, "base" | "out">) {
  const out = join(temporaryFolder(), "out");
  const { verification } = await merge({ base, out, workers: 1, verify: true, ...wish });
  expect(verification?.passed).toBe(true);
  const [before, after] = [base, out].map((folder) => openSafetensors(join(folder, "model.safetensors")).tensors);
  return new Map(
    Array.from(before ?? [], ([name, tensor]) => {
      const merged = after?.get(name);
      if (merged === undefined) throw new Error(name);
      const old = numbersOf(tensor);
      const change = numbersOf(merged).map((value, index) => value - (old[index] ?? 0));
      const module = name.replace(/\.weight$/, "");
      const [rows = 0, columns = 0] = tensor.shape;
      return [module, module === EMBEDDING ? turned(change, rows, columns) : change] as const;
    }),
  );
}

function turned(values: Float64Array, rows: number, columns: number): Float64Array {
  return values.map((_, index) => values[(index % rows) * columns + Math.floor(index / rows)] ?? 0);
}

describe.each(["linear", "ties", "ties-frequency", "magnitude-prune"])("%s", (name) => {
  test("is what PEFT's function makes of the full deltas", async () => {
    const [method = "", majoritySign] = name === "ties-frequency" ? ["ties", "frequency"] : [name];
    const wish = { method, majoritySign, ...options[name] } as Pick<MergeOptions, "method" | "majoritySign">;
    const found = await changes(join(CASE, "base"), { adapters, ...wish });
    const expected = [...openSafetensors(join(CASE, "expected.safetensors")).tensors].filter(([key]) =>
      key.startsWith(`${name}/`),
    );
    expect(expected.length).toBe(4);
    for (const [key, tensor] of expected) {
      const [change, wanted] = [found.get(key.slice(name.length + 1)) ?? new Float64Array(), numbersOf(tensor)];
      expect(change.length).toBe(wanted.length);
      // One rounding to f32 at the size of the base's numbers, and sums in f32.
      for (const [index, value] of wanted.entries()) {
        expect(Math.abs((change[index] ?? Number.NaN) - value), key).toBeLessThan(2e-6);
      }
    }
  });
});

test("linear and cat are add, byte for byte but for the name", async () => {
  const bytes: string[] = [];
  for (const method of ["add", "linear", "cat"] as const) {
    const out = join(temporaryFolder(), "out");
    await merge({ base: join(CASE, "base"), adapters, out, method, workers: 1 });
    const file = readFileSync(join(out, "model.safetensors"));
    bytes.push(file.subarray(Number(file.readBigUInt64LE(0)) + 8).toString("hex"));
  }
  expect(new Set(bytes).size).toBe(1);
});

describe("svd", () => {
  test("adds the sum cut to the highest rank, or to another", async () => {
    const sum = await changes(join(CASE, "base"), { adapters });
    const errors = await Promise.all(
      [undefined, 12].map(async (rank) => {
        const cut = await changes(join(CASE, "base"), { adapters, method: "svd", rank });
        return norm((sum.get(Q) ?? new Float64Array()).map((value, index) => value - (cut.get(Q)?.[index] ?? 0)));
      }),
    );
    // Ranks 3, 4 and 5 make at most 8 directions of 8 inputs; the sum of all is not cut.
    expect(errors[0]).toBeGreaterThan(0.05);
    expect(errors[1]).toBeLessThan(1e-5);
  });
});

describe("dare", () => {
  const base = join(CASE, "base");
  const [first] = adapters;
  const one = [{ path: first?.path ?? "", weight: 1 }];

  test("keeps a random share, scaled up, drawn by seed, adapter and place", async () => {
    const found = await changes(base, { adapters: one, method: "dare-linear", density: 0.25, seed: 7 });
    const full = (await deltasOf(first?.path ?? "")).get(EMBEDDING)?.values ?? new Float64Array();
    const kept = found.get(EMBEDDING) ?? new Float64Array();
    let count = 0;
    for (const [index, value] of kept.entries()) {
      if (value === 0) continue;
      count++;
      expect(Math.abs(value - 4 * (full[index] ?? 0))).toBeLessThan(2e-6);
    }
    // 160 draws of 0.25: four deviations around 40.
    expect(Math.abs(count - 40)).toBeLessThan(22);
    const again = await changes(base, { adapters: one, method: "dare-linear", density: 0.25, seed: 7, workers: 3 });
    expect(again.get(EMBEDDING)).toEqual(kept);
    const other = await changes(base, { adapters: one, method: "dare-linear", density: 0.25, seed: 8 });
    expect(other.get(EMBEDDING)).not.toEqual(kept);
  });

  test("draws for each adapter anew", async () => {
    const twice = [...one, ...one];
    const found = await changes(base, { adapters: twice, method: "dare-linear", density: 0.5 });
    const full = (await deltasOf(first?.path ?? "")).get(Q)?.values ?? new Float64Array();
    const counts = new Set(found.get(Q)?.map((value, index) => Math.round(value / (2 * (full[index] ?? 1)))));
    expect(counts).toEqual(new Set([0, 1, 2]));
  });

  test("with density 1 is the sum, and dare-ties elects signs of what was drawn", async () => {
    const sum = await changes(base, { adapters, method: "linear" });
    const dare = await changes(base, { adapters, method: "dare-linear", density: 1 });
    for (const [module, values] of sum) {
      for (const [index, value] of values.entries()) {
        expect(Math.abs(value - (dare.get(module)?.[index] ?? Number.NaN))).toBeLessThan(2e-6);
      }
    }
    const elected = await changes(base, { adapters, method: "dare-ties", density: 1 });
    const ties = await changes(base, { adapters, method: "ties", density: 1 });
    expect(elected).toEqual(ties);
  });
});

test("biases are summed and other changes stay, whatever the method", async () => {
  const folder = temporaryFolder();
  const tensors = {
    [`${Q}.weight`]: { shape: [6, 8], value: () => 0 },
    [`${Q}.bias`]: { shape: [6], value: () => 0 },
    "model.norm.weight": { shape: [8] },
  };
  const base = writeBase(folder, tensors);
  const bias = { [`base_model.model.${Q}.lora_B.bias`]: { shape: [6], value: () => 1 } };
  const norm = { "base_model.model.model.norm.weight": { shape: [8], value: () => 3 } };
  const settings = { lora_bias: true, target_modules: ["q_proj"] };
  const paths = ["a", "b"].map((name) =>
    writeAdapter(folder, { ...pair(Q), ...bias, ...(name === "a" ? norm : {}) }, settings, name),
  );
  const given = [
    { path: paths[0] ?? "", weight: 1 },
    { path: paths[1] ?? "", weight: 0.25 },
  ];
  const out = join(folder, "out");
  await merge({ base, adapters: given, out, method: "ties", density: 0.5, workers: 1 });
  const { tensors: merged } = openSafetensors(join(out, "model.safetensors"));
  const numbers = (name: string) => {
    const tensor = merged.get(name);
    return tensor === undefined ? [] : [...numbersOf(tensor)];
  };
  expect(numbers(`${Q}.bias`)).toEqual(Array(6).fill(2.5));
  expect(numbers("model.norm.weight")).toEqual(Array(8).fill(3));
});

test("a layer that the base stores in a part of a tensor is pruned like the layer alone", async () => {
  const folder = temporaryFolder();
  const heads = { num_attention_heads: 2, num_key_value_heads: 2, head_dim: 3, hidden_size: 8 };
  const fused = { "model.layers.0.self_attn.qkv_proj.weight": { shape: [18, 8], value: () => 0 } };
  const alone = { [`${Q}.weight`]: { shape: [6, 8], value: () => 0 } };
  const adapter = writeAdapter(folder, pair(Q), { target_modules: ["q_proj"] });
  const pruned = await Promise.all(
    [fused, alone].map(async (tensors) => {
      const base = writeBase(temporaryFolder(), tensors, heads);
      const [change] = (
        await changes(base, { adapters: [{ path: adapter }], method: "magnitude-prune", density: 0.25 })
      ).values();
      return [...(change ?? [])].slice(0, 48);
    }),
  );
  expect(pruned[0]).toEqual(pruned[1]);
  expect(pruned[1]?.filter((value) => value !== 0).length).toBeLessThan(24);
});

test("names the method and its settings in the metadata, and nothing that has no part", async () => {
  const out = join(temporaryFolder(), "out");
  const wish = { method: "ties", density: 0.5, seed: 3 } as const;
  const { warnings } = await merge({ base: join(CASE, "base"), adapters, out, workers: 1, ...wish });
  const record = JSON.parse(openSafetensors(join(out, "model.safetensors")).metadata.get("lora_tool") ?? "");
  expect(record).toMatchObject({ method: "ties", density: 0.5, majoritySign: "total" });
  expect(record.seed).toBeUndefined();
  expect(warnings).toContain("seed has no part in ties");
});

describe("refuses", () => {
  test.each([
    [{ method: "slerp" as "add" }, /method.*expected one of add, linear/],
    [{ method: "ties", density: 0 }, /density above 0/],
    [{ method: "ties", density: 1.5 }, /density above 0/],
    [{ method: "ties", majoritySign: "mean" as "total" }, /majoritySign.*expected one of total, frequency/],
    [{ method: "dare-ties", seed: -1 }, /seed from 0/],
    [{ method: "svd", rank: 0 }, /rank from 1/],
  ] as const)("%j", async (wish, message) => {
    const out = join(temporaryFolder(), "out");
    const error = await errorOfBuilt(() => merge({ base: join(CASE, "base"), adapters, out, ...wish }));
    expect([error.code, error.message]).toEqual(["INVALID_OPTION", expect.stringMatching(message)]);
  });

  test("what has no delta, and replaced tensors with a weight, all at once", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder);
    const magnitude = { [`base_model.model.${Q}.lora_magnitude_vector`]: { shape: [6], value: () => 2 } };
    const dora = writeAdapter(
      folder,
      { ...pair(Q), ...magnitude },
      { use_dora: true, target_modules: ["q_proj"] },
      "dora",
    );
    const saved = { "base_model.model.model.norm.weight": { shape: [8] } };
    const whole = writeAdapter(folder, { ...pair(V), ...saved }, { target_modules: ["v_proj"] }, "whole");
    const given = [{ path: dora }, { path: whole, weight: 0.5 }];
    const error = await errorOfBuilt(() => merge({ base, adapters: given, out: join(folder, "out"), method: "ties" }));
    expect(error.message).toMatch(/2 problems/);
    expect(error.message).toMatch(/q_proj": DoRA is no delta/);
    expect(error.message).toMatch(/norm.weight": replaces the whole .* only weight 1/);
  });
});
