/** Combined adapters against PEFT's functions on the full deltas, against PEFT itself, and against plain sums. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type CombineOptions, combine, merge } from "lora-tool";
import { describe, expect, test } from "vitest";
import { squareSvd } from "../../../../src/core/linear-algebra/square-svd.ts";
import { openSafetensors } from "../../../../src/formats/safetensors/reader.ts";
import { deltasOf, distance, norm } from "../../../support/deltas.ts";
import { errorOfBuilt } from "../../../support/errors.ts";
import { expectMerged } from "../../../support/expect-merged.ts";
import { numbersOf } from "../../../support/read-tensor.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { pair, Q, type SmallTensors, V, writeAdapter } from "../../small-model.ts";

const FIXTURES = join(import.meta.dirname, "../../../../fixtures");
const MIXED = join(FIXTURES, "low-rank/combine/mixed");
const FACTOR_WISE = join(FIXTURES, "low-rank/combine/factor-wise");
const EXPERTS = join(FIXTURES, "low-rank/resize/experts/adapter");
const KINDS = join(FIXTURES, "low-rank/resize/conv-embedding/adapter");

const caseOf = (folder: string) => JSON.parse(readFileSync(join(folder, "case.json"), "utf8"));
const config = (folder: string) => JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8"));

/** Wanted results of one method, by module. */
function wantedOf(folder: string, method: string): Map<string, Float64Array> {
  const { tensors } = openSafetensors(join(folder, "expected.safetensors"));
  const own = [...tensors].filter(([key]) => key.startsWith(`${method}/`));
  return new Map(own.map(([key, tensor]) => [key.slice(method.length + 1), numbersOf(tensor)]));
}

const mixed = ["first", "second", "third"].map((name, index) => ({
  path: join(MIXED, name),
  weight: caseOf(MIXED).weights[index],
}));

function wishOf(folder: string, name: string): Pick<CombineOptions, "method" | "majoritySign" | "density"> {
  const [method, majoritySign] = name === "ties-frequency" ? (["ties", "frequency"] as const) : [name];
  return { method, majoritySign, ...caseOf(folder).options[name] };
}

describe.each(["linear", "ties", "ties-frequency", "magnitude-prune"])("%s", (name) => {
  const wish = wishOf(MIXED, name);

  test("of a rank that holds everything is what the method gives", async () => {
    const out = join(temporaryFolder(), "out");
    const { modules } = await combine({ adapters: mixed, out, workers: 1, rank: 20, ...wish });
    const found = await deltasOf(out);
    const wanted = wantedOf(MIXED, name);
    expect(modules.map((module) => module.name).sort()).toEqual([...wanted.keys()].sort());
    for (const [module, values] of wanted) {
      expect(distance(found.get(module)?.values ?? [], values), module).toBeLessThanOrEqual(1e-6 * norm(values));
    }
  });

  test("of a lower rank is its best approximation, and the report says how good", async () => {
    const out = join(temporaryFolder(), "out");
    const { modules } = await combine({ adapters: mixed, out, workers: 1, rank: 2, ...wish });
    const found = await deltasOf(out);
    for (const [module, values] of wantedOf(MIXED, name)) {
      const size = norm(values);
      const delta = found.get(module)?.values ?? new Float64Array();
      const error = distance(delta, values);
      expect(
        Math.abs(error - (await bestError(values, module === "model.embed_tokens" ? 20 : 8, 2))),
        module,
      ).toBeLessThanOrEqual(1e-6 * size);
      expect(Math.abs((modules.find((one) => one.name === module)?.error ?? 2) - error / size)).toBeLessThan(1e-6);
    }
  });
});

/** ‖values − their best approximation of a rank‖; one of the two sizes is `columns` or both are below it. */
async function bestError(values: Float64Array, columns: number, rank: number): Promise<number> {
  const rows = values.length / columns;
  const size = Math.max(rows, columns);
  const square = new Float64Array(size * size);
  for (let index = 0; index < values.length; index++) {
    square[Math.floor(index / columns) * size + (index % columns)] = values[index] ?? 0;
  }
  return norm((await squareSvd(square, size)).values.subarray(rank));
}

describe("side by side", () => {
  test("the sum is exact: no rounding at all where weights are powers of two of each other", async () => {
    const folder = temporaryFolder();
    const paths = ["a", "b"].map((name, index) =>
      writeAdapter(folder, { ...pair(Q), ...(index === 0 ? pair(V) : {}) }, { lora_alpha: 4 + 4 * index }, name),
    );
    const out = join(folder, "out");
    const adapters = [
      { path: paths[0] ?? "", weight: 3 },
      { path: paths[1] ?? "", weight: -0.375 },
    ];
    const { modules } = await combine({ adapters, out });
    // 3 · 4 / 2 and −0.375 · 8 / 2: the first is the scale, the second is −1/4 of it.
    expect(modules.map(({ name, rank, alpha, scale, error }) => [name, rank, alpha, scale, error])).toEqual([
      [Q, 4, 24, 6, 0],
      [V, 2, 12, 6, 0],
    ]);
    expect(config(out)).toMatchObject({ r: 4, use_rslora: false, rank_pattern: { [key(V)]: 2 } });
    const sum = await sumOf(adapters);
    for (const [name, { values }] of await deltasOf(out)) expect(values).toEqual(sum.get(name));
  });

  const key = (name: string) => `^${name.replaceAll(".", "\\.")}$`;

  test("rsLoRA, patterns and different ranks count with their own scales, whoever is first", async () => {
    for (const adapters of [mixed, mixed.toReversed()]) {
      const out = join(temporaryFolder(), "out");
      const { convention } = await combine({ adapters, out });
      expect(convention).toBe("lora");
      const sum = await sumOf(adapters);
      const found = await deltasOf(out);
      expect([...found.keys()].sort()).toEqual([...sum.keys()].sort());
      for (const [name, values] of sum) {
        expect(distance(found.get(name)?.values ?? [], values)).toBeLessThanOrEqual(1e-7 * norm(values));
      }
    }
  });

  test("two rsLoRA adapters make an rsLoRA adapter of the right scale", async () => {
    const folder = temporaryFolder();
    const adapters = ["a", "b"].map((name) => ({
      path: writeAdapter(folder, undefined, { use_rslora: true }, name),
    }));
    const out = join(folder, "out");
    await combine({ adapters, out });
    expect(config(out)).toMatchObject({ use_rslora: true, r: 4 });
    const sum = await sumOf(adapters.map(({ path }) => ({ path, weight: 1 })));
    for (const [name, { values }] of await deltasOf(out)) {
      expect(distance(values, sum.get(name) ?? [])).toBeLessThanOrEqual(1e-15 * norm(values));
    }
  });

  test.each([
    ["stacked experts", EXPERTS],
    ["convolutions and embeddings", KINDS],
  ])("%s", async (_, path) => {
    const out = join(temporaryFolder(), "out");
    const adapters = [
      { path, weight: 0.3 },
      { path, weight: 0.45 },
    ];
    const { warnings } = await combine({ adapters, out });
    expect(warnings.join()).toMatch(/given twice/);
    const [single, both] = [await deltasOf(path), await deltasOf(out)];
    for (const [name, { values }] of single) {
      const wanted = values.map((value) => 0.75 * value);
      expect(distance(both.get(name)?.values ?? [], wanted)).toBeLessThanOrEqual(1e-7 * norm(wanted));
    }
  });

  test("bf16 stays where nothing is rounded, and becomes f32 where a fold would round", async () => {
    const path = join(FIXTURES, "low-rank/resize/rslora-patterns-energy/adapter");
    for (const [weights, dtypes] of [
      [[1, 0.5], ["bf16"]],
      [
        [1, 0.7],
        ["bf16", "f32"],
      ],
    ] as const) {
      const out = join(temporaryFolder(), "out");
      await combine({ adapters: weights.map((weight) => ({ path, weight })), out });
      const { tensors } = openSafetensors(join(out, "adapter_model.safetensors"));
      expect([...new Set(Array.from(tensors.values(), ({ dtype }) => dtype))].sort()).toEqual(dtypes);
    }
  });

  test("merges to what a merge of all of them gives", async () => {
    const folder = temporaryFolder();
    const [base, one, all] = [join(MIXED, "base"), join(folder, "one"), join(folder, "all")];
    await combine({ adapters: mixed, out: join(folder, "adapter") });
    await merge({ base, adapters: [{ path: join(folder, "adapter") }], out: one, workers: 1 });
    await merge({ base, adapters: mixed, out: all, workers: 1 });
    await expectMerged(base, join(all, "model.safetensors"), one, {});
  });
});

async function sumOf(adapters: readonly { readonly path: string; readonly weight: number }[]) {
  const sum = new Map<string, Float64Array>();
  for (const { path, weight } of adapters) {
    for (const [name, { values }] of await deltasOf(path)) {
      const before = sum.get(name);
      sum.set(
        name,
        values.map((value, index) => (before?.[index] ?? 0) + weight * value),
      );
    }
  }
  return sum;
}

describe("factor-wise", () => {
  test.each(["linear", "ties", "ties-frequency", "magnitude-prune"])(
    "%s is PEFT's add_weighted_adapter",
    async (name) => {
      const out = join(temporaryFolder(), "out");
      const { weights } = caseOf(FACTOR_WISE);
      const adapters = ["first", "second"].map((own, index) => ({
        path: join(FACTOR_WISE, own),
        weight: weights[index],
      }));
      const { modules } = await combine({ adapters, out, factorWise: true, ...wishOf(FACTOR_WISE, name) });
      expect(modules.map(({ rank, scale, error }) => [rank, scale, error])).toEqual([[3, 1, undefined]]);
      const [wanted] = wantedOf(FACTOR_WISE, name).values();
      const [found] = (await deltasOf(out)).values();
      expect(distance(found?.values ?? [], wanted ?? [])).toBeLessThanOrEqual(1e-6 * norm(wanted ?? []));
    },
  );

  test("has the right scale with rsLoRA, where PEFT's result is √rank too strong", async () => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder, undefined, { use_rslora: true });
    const out = join(folder, "out");
    await combine({ adapters: [{ path: adapter }], method: "linear", factorWise: true, out });
    const before = await deltasOf(adapter);
    for (const [name, { values }] of await deltasOf(out)) {
      expect(distance(values, before.get(name)?.values ?? [])).toBeLessThanOrEqual(1e-6 * norm(values));
    }
  });
});

test("dare: another seed, another result; other workers, the same bytes", async () => {
  const folder = temporaryFolder();
  const make = async (seed: number, workers: number) => {
    const out = join(folder, `${seed}-${workers}`);
    await combine({ adapters: mixed, method: "dare-ties", density: 0.5, seed, workers, out });
    return readFileSync(join(out, "adapter_model.safetensors")).toString("hex");
  };
  const first = await make(1, 1);
  expect(await make(1, 3)).toBe(first);
  expect(await make(2, 1)).not.toBe(first);
});

describe("what is no factor", () => {
  const bias = (module: string, value: number): SmallTensors => ({
    [`base_model.model.${module}.lora_B.bias`]: { shape: [6], value: () => value },
  });
  const norm8 = (value: number): SmallTensors => ({
    "base_model.model.model.norm.weight": { shape: [8], value: () => value },
  });

  test("biases are summed, whole tensors and settings carried over", async () => {
    const folder = temporaryFolder();
    const settings = { lora_bias: true, target_modules: ["q_proj"], lora_alpha: 2, task_type: "CAUSAL_LM" };
    const a = writeAdapter(folder, { ...pair(Q), ...bias(Q, 1), ...norm8(3) }, settings, "a");
    const b = writeAdapter(folder, { ...pair(Q), ...bias(Q, 8) }, settings, "b");
    const out = join(folder, "out");
    await combine({ adapters: [{ path: a }, { path: b, weight: 0.25 }], out });
    const { tensors } = openSafetensors(join(out, "adapter_model.safetensors"));
    const numbers = (name: string) => {
      const tensor = tensors.get(`base_model.model.${name}`);
      return tensor === undefined ? [] : [...numbersOf(tensor)];
    };
    // The scale is 1, that of the first.
    expect(numbers(`${Q}.lora_B.bias`)).toEqual(Array(6).fill(3));
    expect(numbers("model.norm.weight")).toEqual(Array(8).fill(3));
    expect(config(out)).toMatchObject({ lora_bias: true, task_type: "CAUSAL_LM", modules_to_save: ["model.norm"] });
  });

  test("whole modules alone get the type that PEFT loads without a target", async () => {
    const out = join(temporaryFolder(), "out");
    const adapter = join(FIXTURES, "peft/ln-tuning/adapter");
    await combine({ adapters: [{ path: adapter }], out });
    expect(config(out)).toMatchObject({ peft_type: "LN_TUNING" });
    const numbers = (folder: string) => {
      const { tensors } = openSafetensors(join(folder, "adapter_model.safetensors"));
      return new Map([...tensors].sort().map(([name, tensor]) => [name, [...numbersOf(tensor)]]));
    };
    expect(numbers(out)).toEqual(numbers(adapter));
  });

  test("equal whole tensors in two adapters are one, different ones and weighted ones are refused by name", async () => {
    const folder = temporaryFolder();
    const make = (name: string, value: number) => writeAdapter(folder, { ...pair(Q), ...norm8(value) }, {}, name);
    const [a, b, c] = [make("a", 3), make("b", 3), make("c", 4)];
    await combine({ adapters: [{ path: a }, { path: b }], out: join(folder, "out") });
    const clash = await errorOfBuilt(() => combine({ adapters: [{ path: a }, { path: c }], out: join(folder, "no") }));
    expect([clash.code, clash.message]).toEqual([
      "ADAPTER_MISMATCH",
      expect.stringMatching(/norm.weight": two adapters/),
    ]);
    const weighted = await errorOfBuilt(() =>
      combine({ adapters: [{ path: a, weight: 0.5 }], out: join(folder, "no") }),
    );
    expect(weighted.message).toMatch(/norm.weight": .*only weight 1/);
    expect(readdirSync(folder).sort()).toEqual(["a", "b", "c", "out"]);
  });

  test("one DoRA adapter alone is kept as it is", async () => {
    const adapter = join(FIXTURES, "adapters/shakespeare-dora-r8");
    const out = join(temporaryFolder(), "out");
    await combine({ adapters: [{ path: adapter }], out });
    const [before, after] = [adapter, out].map(
      (path) => openSafetensors(join(path, "adapter_model.safetensors")).tensors,
    );
    expect([...(after?.keys() ?? [])].sort()).toEqual([...(before?.keys() ?? [])].sort());
    for (const [name, tensor] of before ?? []) expect(numbersOf(after?.get(name) ?? tensor)).toEqual(numbersOf(tensor));
  });
});

describe("refuses, and writes nothing", () => {
  const [first] = mixed;
  const path = first?.path ?? "";

  test.each([
    [{ adapters: [] }, /at least one adapter/],
    [{ adapters: [{ path, weight: Number.NaN }] }, /finite weight/],
    [{ adapters: [{ path, weight: 0 }] }, /other than 0/],
    [{ method: "slerp" as "add" }, /method.*expected one of/],
    [{ rank: 0 }, /rank from 1/],
    [{ method: "svd", factorWise: true }, /factorWise is for/],
    [{ method: "ties", factorWise: true, rank: 3 }, /takes none/],
    [{ dtype: "f8" as "f16" }, /dtype.*expected one of keep/],
    [{ out: "x.safetensors" }, /folder/],
  ] as const)("%j", async (wish, message) => {
    const folder = temporaryFolder();
    const error = await errorOfBuilt(() => combine({ adapters: mixed, out: join(folder, "out"), ...wish }));
    expect([error.code, error.message]).toEqual(["INVALID_OPTION", expect.stringMatching(message)]);
    expect(readdirSync(folder)).toEqual([]);
  });

  test.each([
    "shakespeare-dora-r8",
    "../peft/pissa/adapter",
    "../peft/loha/adapter",
    "../kohya/lora/adapter.safetensors",
  ])("%s beside another adapter", async (other) => {
    const folder = temporaryFolder();
    const adapters = [{ path: join(FIXTURES, "adapters", other) }, { path }];
    const error = await errorOfBuilt(() => combine({ adapters, out: join(folder, "out") }));
    expect(error.code).toBe("UNSUPPORTED_ADAPTER");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("adapters of different shapes, every module in one error", async () => {
    const folder = temporaryFolder();
    const wide = (module: string): SmallTensors => ({
      [`base_model.model.${module}.lora_A.weight`]: { shape: [2, 10] },
      [`base_model.model.${module}.lora_B.weight`]: { shape: [6, 2] },
    });
    const a = writeAdapter(folder, undefined, {}, "a");
    const b = writeAdapter(folder, { ...wide(Q), ...wide(V) }, {}, "b");
    const error = await errorOfBuilt(() => combine({ adapters: [{ path: a }, { path: b }], out: join(folder, "out") }));
    expect(error.message).toMatch(/q_proj": for a weight of \[6, 8\] in one adapter, of \[6, 10\] in another/);
    expect(error.message).toMatch(/v_proj": for a weight/);
    expect(readdirSync(folder)).toEqual(["a", "b"]);
  });

  test("different ranks factor by factor", async () => {
    const out = join(temporaryFolder(), "out");
    const error = await errorOfBuilt(() => combine({ adapters: mixed, method: "ties", factorWise: true, out }));
    expect([error.code, error.message]).toEqual(["UNSUPPORTED_ADAPTER", expect.stringMatching(/ranks 3 and/)]);
  });
});

test("a dry run says the same and writes nothing", async () => {
  const folder = temporaryFolder();
  const wish = { adapters: mixed, out: join(folder, "out"), method: "ties", density: 0.4, rank: 3 } as const;
  const plan = await combine({ ...wish, dryRun: true });
  expect(readdirSync(folder)).toEqual([]);
  const { result, ...report } = await combine(wish);
  expect(result?.files.length).toBe(2);
  const ranks = (modules: typeof plan.modules) => modules.map(({ name, rank, scale }) => [name, rank, scale]);
  expect(ranks(plan.modules)).toEqual(ranks(report.modules));
});
