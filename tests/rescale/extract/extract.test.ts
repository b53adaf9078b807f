/** Adapters extracted from two models: merged into the first they must give the second, of any architecture. */

import { cpSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type ExtractOptions, extract, merge } from "lora-tool";
import { describe, expect, test } from "vitest";
import { openSafetensors } from "../../../src/formats/safetensors/reader.ts";
import {
  BASE_TENSORS,
  pair,
  Q,
  type SmallTensors,
  V,
  writeAdapter,
  writeBase,
  writeTensors,
} from "../../merge/small-model.ts";
import { deltasOf, distance, norm } from "../../support/deltas.ts";
import { errorOfBuilt } from "../../support/errors.ts";
import { expectMerged } from "../../support/expect-merged.ts";
import { numbersOf } from "../../support/read-tensor.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "../../../fixtures");

/** A tuned copy of a base: the base's tensors with some replaced. */
function writeTuned(folder: string, base: string, tensors: SmallTensors): string {
  const tuned = join(folder, "tuned");
  cpSync(base, tuned, { recursive: true });
  writeTensors(join(tuned, "model.safetensors"), tensors);
  return tuned;
}

const noise = (stream: number) => (index: number) => Math.imul(index * 7 + stream, 0x9e3779b1) / 2 ** 31;

test.each([{ architectures: [5] }, { architectures: "GPT2LMHeadModel" }, { architectures: 5 }])(
  "a config.json with %j names no task",
  async (config) => {
    const folder = temporaryFolder();
    const base = writeBase(folder, BASE_TENSORS, config);
    const changed = { ...BASE_TENSORS[`${Q}.weight`], value: noise(1) };
    const tuned = writeTuned(folder, base, { ...BASE_TENSORS, [`${Q}.weight`]: changed } as SmallTensors);
    const out = join(folder, "adapter");
    await extract({ base, tuned, rank: 2, out, workers: 1 });
    expect(JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8")).task_type).toBeNull();
  },
);

test("a difference in norms alone is of the type that PEFT loads without a target", async () => {
  const folder = temporaryFolder();
  const base = writeBase(folder);
  const tuned = writeTuned(folder, base, { ...BASE_TENSORS, "model.norm.weight": { shape: [8], value: noise(1) } });
  const out = join(folder, "adapter");
  await extract({ base, tuned, rank: 2, out, workers: 1 });
  const settings = JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8"));
  expect(settings).toMatchObject({ peft_type: "LN_TUNING", target_modules: ["model.norm"] });
});

describe.each([
  ["Conv1D", "peft/gpt2-lora", "l"],
  ["convolutions and their biases", "peft/conv2d-lora-bias", "c"],
  ["a tied embedding", "peft/tied-ensure-weight-tying", "e"],
  ["a tied embedding that parts", "peft/tied-embedding-lora", "e"],
  ["a resized vocabulary", "peft/resized-vocab-tied", "l"],
  ["stacked experts, inputs first", "peft/gpt-oss-square", "e"],
  ["stacked experts, outputs first", "peft/mixtral-fused-base", "e"],
  ["bfloat16", "peft/llama-bf16", "l"],
  ["norms and heads", "peft/modules-to-save-infix", "l"],
])("%s", (_, name) => {
  test("base and extracted adapter merge to the tuned model, config.json and all", async () => {
    const folder = temporaryFolder();
    const source = join(FIXTURES, name);
    const record = JSON.parse(readFileSync(join(source, "case.json"), "utf8"));
    const base = join(source, record.base);
    const adapters = [{ path: join(source, record.adapters[0].path) }];
    const [tuned, adapter, out] = ["tuned", "adapter", "out"].map((part) => join(folder, part)) as [
      string,
      string,
      string,
    ];
    await merge({ base, adapters, out: tuned, workers: 1 });
    const { modules, overrides } = await extract({ base, tuned, rank: 64, out: adapter, workers: 1 });
    expect(modules.length + overrides.length).toBeGreaterThan(0);
    for (const { error, scale } of modules) expect([error < 1e-7, scale]).toEqual([true, 1]);
    await merge({ base, adapters: [{ path: adapter }], out, workers: 1 });
    await expectMerged(base, join(tuned, "model.safetensors"), out, {});
    const config = (path: string) =>
      readdirSync(path).includes("config.json") && readFileSync(join(path, "config.json"), "utf8");
    expect(config(out)).toBe(config(tuned));
  });
});

describe("a known difference", () => {
  /** [6, 8] and its singular values 3, 2, 1: rows of a Hadamard matrix on either side. */
  const delta = (index: number) => {
    const [row, column] = [Math.floor(index / 8), index % 8];
    const sign = (a: number, b: number) => ([1, 2, 4].filter((bit) => a & b & bit).length % 2 === 0 ? 1 : -1);
    const unit = (row: number, k: number) => (row < 4 ? sign(row, k) / 2 : 0);
    return [3, 2, 1].reduce((sum, value, k) => sum + (value * unit(row, k) * sign(column, k)) / Math.sqrt(8), 0);
  };
  const zeros: SmallTensors = { ...BASE_TENSORS, [`${Q}.weight`]: { shape: [6, 8], value: () => 0 } };
  const make = () => {
    const folder = temporaryFolder();
    const base = writeBase(folder, zeros);
    return {
      folder,
      base,
      tuned: writeTuned(folder, base, { ...zeros, [`${Q}.weight`]: { shape: [6, 8], value: delta } }),
    };
  };

  test.each([
    [{ rank: 1 }, 1, Math.sqrt(5 / 14)],
    [{ rank: 2 }, 2, Math.sqrt(1 / 14)],
    [{ energy: 0.9 }, 2, Math.sqrt(1 / 14)],
    [{ energy: 0.99 }, 3, 0],
    [{ energy: 0.99, rank: 2 }, 2, Math.sqrt(1 / 14)],
  ])("%j has its rank and its error", async (wish, rank, error) => {
    const { folder, base, tuned } = make();
    const out = join(folder, "out");
    const report = await extract({ base, tuned, out, workers: 1, ...wish });
    expect(report.modules.map((module) => [module.name, module.rank, module.alpha])).toEqual([[Q, rank, rank]]);
    expect(Math.abs((report.modules[0]?.error ?? 2) - error)).toBeLessThan(1e-7);
    expect(Math.abs(report.error - error)).toBeLessThan(1e-7);
    expect(report.unchanged).toBe(3);
    const [found] = (await deltasOf(out)).values();
    const wanted = Float64Array.from({ length: 48 }, (_, index) => delta(index));
    expect(Math.abs(distance(found?.values ?? [], wanted) / norm(wanted) - error)).toBeLessThan(1e-6);
  });

  test("factors of 16 bits count their rounding", async () => {
    const { folder, base, tuned } = make();
    const out = join(folder, "out");
    const { modules } = await extract({ base, tuned, out, rank: 3, dtype: "bf16", workers: 1 });
    const [found] = (await deltasOf(out)).values();
    const wanted = Float64Array.from({ length: 48 }, (_, index) => delta(index));
    const error = distance(found?.values ?? [], wanted) / norm(wanted);
    expect(error).toBeGreaterThan(1e-4);
    expect(Math.abs((modules[0]?.error ?? 2) / error - 1)).toBeLessThan(0.01);
  });
});

describe("a matrix too large to be decomposed as a whole", () => {
  const [rows, columns] = [600, 520];
  const shape = [rows, columns] as const;
  const name = `${Q}.weight`;
  const low = Array.from({ length: 8 }, (_, k) => ({
    left: Float64Array.from({ length: rows }, (_, index) => noise(2 * k)(index)),
    right: Float64Array.from({ length: columns }, (_, index) => noise(2 * k + 1)(index)),
  }));
  const value = (index: number) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    const sum = low.reduce(
      (total, { left, right }, k) => total + (left[row] ?? 0) * (right[column] ?? 0) * 0.6 ** k,
      0,
    );
    return sum + 0.01 * noise(99)(index);
  };

  /** Relative error of the best approximation of rank 4, by numpy's singular value decomposition of the stored numbers. */
  const BEST = 0.04684126483459269;

  test.each([[{}], [{ exact: true }]])("%j is as good as promised", async (wish: Pick<ExtractOptions, "exact">) => {
    const folder = temporaryFolder();
    const base = writeBase(folder, { [name]: { shape, value: () => 0 } });
    const tuned = writeTuned(folder, base, { [name]: { shape, value } });
    const out = join(folder, "out");
    const { modules } = await extract({ base, tuned, rank: 4, out, workers: 1, ...wish });
    const difference = numbersOf(openSafetensors(join(tuned, "model.safetensors")).tensors.get(name) ?? fail());
    const [found] = (await deltasOf(out)).values();
    const error = distance(found?.values ?? [], difference) / norm(difference);
    expect(Math.abs((modules[0]?.error ?? 2) - error)).toBeLessThan(1e-6);
    expect(error).toBeGreaterThanOrEqual(BEST * (1 - 1e-6));
    expect(error).toBeLessThanOrEqual(BEST * (1 + (wish.exact ? 1e-6 : 1e-2)));
  });
});

function fail(): never {
  throw new Error("no such tensor");
}

test("the same bytes with one worker and with three", async () => {
  const folder = temporaryFolder();
  const [base, tuned] = [join(FIXTURES, "stories260K"), join(folder, "tuned")];
  await merge({ base, adapters: [{ path: join(FIXTURES, "adapters/shakespeare-lora-r8") }], out: tuned });
  const bytes: string[] = [];
  for (const workers of [1, 3]) {
    const out = join(folder, `${workers}`);
    await extract({ base, tuned, rank: 4, out, workers });
    bytes.push(readFileSync(join(out, "adapter_model.safetensors")).toString("hex"));
    expect(readdirSync(out).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  }
  expect(bytes[0]).toBe(bytes[1]);
});

describe("refuses, and writes nothing", () => {
  test.each([
    [{}, /a rank or an energy/],
    [{ rank: 0 }, /from 1 on/],
    [{ energy: 2 }, /up to 1/],
    [{ rank: 1, dtype: "keep" as "f32" }, /dtype.*expected one of f32/],
    [{ rank: 1, out: "x.safetensors" }, /folder/],
  ])("%j", async (wish, message) => {
    const base = join(FIXTURES, "stories260K");
    const error = await errorOfBuilt(() =>
      extract({ base, tuned: base, out: join(temporaryFolder(), "out"), ...wish }),
    );
    expect([error.code, error.message]).toEqual(["INVALID_OPTION", expect.stringMatching(message)]);
  });

  test("two models that are the same", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder);
    const error = await errorOfBuilt(() => extract({ base, tuned: base, rank: 1, out: join(folder, "out") }));
    expect(error.code).toBe("NOTHING_CHANGED");
    expect(readdirSync(folder)).toEqual(["base"]);
  });

  test("tensors that do not correspond, all in one error", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder);
    const { [`${V}.weight`]: _, ...others } = BASE_TENSORS;
    const changed = { ...others, [`${Q}.weight`]: { shape: [6, 10] }, "model.extra.weight": { shape: [2] } };
    const tuned = writeTuned(folder, base, changed);
    const error = await errorOfBuilt(() => extract({ base, tuned, rank: 1, out: join(folder, "out") }));
    expect(error.code).toBe("ADAPTER_MISMATCH");
    expect(error.message).toMatch(/q_proj.weight": is \[6, 8\] in the base, \[6, 10\] in the tuned model/);
    expect(error.message).toMatch(/v_proj.weight": only in the base/);
    expect(error.message).toMatch(/extra.weight": only in the tuned model/);
  });

  test("a difference that is not finite, naming the tensor", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder);
    const nan = { [`${Q}.weight`]: { shape: [6, 8], value: () => Number.NaN } };
    const tuned = writeTuned(folder, base, { ...BASE_TENSORS, ...nan });
    const error = await errorOfBuilt(() => extract({ base, tuned, rank: 1, out: join(folder, "out") }));
    expect([error.code, error.subject]).toEqual(["NON_FINITE", `${Q}.weight`]);
    expect(readdirSync(folder).sort()).toEqual(["base", "tuned"]);
  });

  test("integers that changed", async () => {
    const folder = temporaryFolder();
    const ids = { "model.ids": { shape: [3], dtype: "i64" as const } };
    const base = writeBase(folder, { ...BASE_TENSORS, ...ids });
    const tuned = writeTuned(folder, base, { ...BASE_TENSORS, "model.ids": { shape: [3], dtype: "f32" } });
    const error = await errorOfBuilt(() => extract({ base, tuned, rank: 1, out: join(folder, "out") }));
    expect(error.message).toMatch(/model.ids": no difference is defined for i64 and f32/);
  });
});

test("unchanged layers and bytes of another dtype are left out", async () => {
  const folder = temporaryFolder();
  const base = writeBase(folder);
  const widened = Object.fromEntries(
    Object.entries(BASE_TENSORS).map(([name, tensor]) => [name, { ...tensor, dtype: "bf16" as const }]),
  );
  const norm8 = { "model.norm.weight": { shape: [8], dtype: "bf16" as const, value: () => 2 } };
  const tuned = writeTuned(folder, base, { ...widened, ...norm8 });
  const report = await extract({ base, tuned, rank: 1, out: join(folder, "out") });
  expect([report.modules, report.overrides, report.unchanged]).toEqual([
    [],
    [{ name: "model.norm.weight", shape: [8] }],
    3,
  ]);
});

test("an extracted adapter can be resized and combined like any other", async () => {
  const folder = temporaryFolder();
  const base = writeBase(folder);
  const adapter = writeAdapter(folder, pair(Q), { target_modules: ["q_proj"] });
  const tuned = join(folder, "tuned");
  await merge({ base, adapters: [{ path: adapter }], out: tuned, workers: 1 });
  const out = join(folder, "out");
  await extract({ base, tuned, rank: 2, out, workers: 1 });
  const [before, after] = [await deltasOf(adapter), await deltasOf(out)];
  const wanted = before.get(Q)?.values ?? new Float64Array();
  expect(distance(after.get(Q)?.values ?? [], wanted)).toBeLessThanOrEqual(1e-6 * norm(wanted));
});
