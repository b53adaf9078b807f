/** Resizing against numpy's singular value decomposition of the full deltas. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { merge, type ResizeOptions, type ResizeReport, resize } from "lora-tool";
import { describe, expect, test } from "vitest";
import { ulpsBetween } from "../../../src/adapters/alpha.ts";
import { openSafetensors } from "../../../src/formats/safetensors/reader.ts";
import { pair, Q, V, writeAdapter, writeBase } from "../../merge/small-model.ts";
import { deltasOf, distance, norm } from "../../support/deltas.ts";
import { errorOfBuilt } from "../../support/errors.ts";
import { numbersOf } from "../../support/read-tensor.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "../../../fixtures");
const CASES = join(FIXTURES, "low-rank/resize");

interface Case {
  readonly options: Pick<ResizeOptions, "rank" | "energy" | "dtype">;
  readonly errors: Readonly<Record<string, number>>;
  readonly ranks?: Readonly<Record<string, number>>;
}

const caseOf = (name: string): Case => JSON.parse(readFileSync(join(CASES, name, "case.json"), "utf8"));
const config = (folder: string) => JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8"));

describe.each(readdirSync(CASES))("%s", (name) => {
  test("is numpy's best approximation, and says how far it is from the delta", async () => {
    const { options, errors, ranks } = caseOf(name);
    const adapter = join(CASES, name, "adapter");
    const out = join(temporaryFolder(), "out");
    const { modules } = await resize({ adapter, out, workers: 1, ...options });
    const found = await deltasOf(out);
    const before = await deltasOf(adapter);
    const expected = openSafetensors(join(CASES, name, "expected.safetensors")).tensors;
    expect(modules.map((module) => module.name).sort()).toEqual([...expected.keys()].sort());
    for (const module of modules) {
      const want = expected.get(module.name);
      const delta = found.get(module.name);
      if (want === undefined || delta === undefined) throw new Error(module.name);
      const size = norm(before.get(module.name)?.values ?? []);
      // Rounding the factors to f32 is all that may differ.
      expect(distance(delta.values, numbersOf(want)), module.name).toBeLessThanOrEqual(3e-7 * size);
      expect(Math.abs(module.error - (errors[module.name] ?? Number.NaN)), module.name).toBeLessThanOrEqual(1e-7);
      expect([module.rank, module.scale]).toEqual([delta.rank, delta.scale]);
      expect(ulpsBetween(delta.scale, before.get(module.name)?.scale ?? Number.NaN)).toBeLessThanOrEqual(1);
      if (ranks !== undefined) expect(module.rank).toBe(ranks[module.name]);
    }
  });
});

test("the scale stays bit for bit, under both conventions", async () => {
  const folder = temporaryFolder();
  for (const [use_rslora, alpha] of [
    [false, 3 / 2],
    [true, 3 / Math.sqrt(2)],
  ] as const) {
    const adapter = writeAdapter(folder, undefined, { lora_alpha: 3, use_rslora }, `adapter-${use_rslora}`);
    const out = join(folder, `out-${use_rslora}`);
    await resize({ adapter, rank: 1, out });
    expect(config(out)).toMatchObject({ r: 1, use_rslora, rank_pattern: {}, alpha_pattern: {} });
    expect(config(out).lora_alpha).toBeCloseTo(alpha, 12);
    for (const { scale } of (await deltasOf(out)).values()) expect(scale).toBe(use_rslora ? 3 / Math.SQRT2 : 1.5);
  }
});

test("a rank that is high enough leaves the factors bit for bit", async () => {
  const folder = temporaryFolder();
  const adapter = writeAdapter(folder);
  const out = join(folder, "out");
  const { modules } = await resize({ adapter, rank: 5, out });
  expect(modules.map(({ rank, error }) => [rank, error])).toEqual([
    [2, 0],
    [2, 0],
  ]);
  const [own, other] = [adapter, out].map((path) => openSafetensors(join(path, "adapter_model.safetensors")).tensors);
  for (const [name, tensor] of own ?? []) expect(numbersOf(tensor)).toEqual(numbersOf(other?.get(name) ?? tensor));
});

test("energy with a rank: each module has the smallest rank for it, and at most that one", async () => {
  const out = join(temporaryFolder(), "out");
  const adapter = join(FIXTURES, "adapters/shakespeare-rslora-r64");
  const all = await resize({ adapter, energy: 0.9, out, dryRun: true });
  const some = await resize({ adapter, energy: 0.9, rank: 20, out });
  expect(some.modules.map(({ rank }) => rank)).toEqual(all.modules.map(({ rank }) => Math.min(20, rank)));
  for (const { error } of all.modules) expect(error).toBeLessThan(Math.sqrt(0.1) + 1e-6);
});

test("the bytes do not depend on the number of workers", async () => {
  const folder = temporaryFolder();
  const adapter = join(FIXTURES, "adapters/shakespeare-patterns");
  const bytes: Buffer[] = [];
  for (const workers of [1, 3]) {
    const out = join(folder, String(workers));
    await resize({ adapter, rank: 3, out, workers });
    bytes.push(readFileSync(join(out, "adapter_model.safetensors")));
    expect(readdirSync(out).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  }
  expect(bytes[0]?.equals(bytes[1] ?? Buffer.alloc(0))).toBe(true);
});

test("keeps the dtype, or takes another; its rounding is in the reported error", async () => {
  const folder = temporaryFolder();
  for (const [adapter, dtype, stored] of [
    [join(CASES, "rslora-patterns-energy/adapter"), "keep", "bf16"],
    [join(FIXTURES, "adapters/shakespeare-lora-r8"), "keep", "f32"],
    [join(FIXTURES, "adapters/shakespeare-lora-r8"), "bf16", "bf16"],
    [join(FIXTURES, "adapters/shakespeare-lora-r8"), "f16", "f16"],
  ] as const) {
    const before = await deltasOf(adapter);
    const out = join(folder, basename(adapter) + dtype);
    const { modules } = await resize({ adapter, energy: 1, dtype, out });
    const { tensors } = openSafetensors(join(out, "adapter_model.safetensors"));
    expect(new Set(Array.from(tensors.values(), (tensor) => tensor.dtype))).toEqual(new Set([stored]));
    const found = await deltasOf(out);
    for (const { name, error } of modules) {
      const [a, b] = [found.get(name)?.values ?? [], before.get(name)?.values ?? []];
      // Products of two roundings are left out, and f32 ones near the end of their digits.
      expect(Math.abs(distance(a, b) / norm(b) / error - 1)).toBeLessThan(0.01);
    }
  }
});

test("settings, whole tensors, biases, magnitudes and small files stay", async () => {
  const folder = temporaryFolder();
  const more = {
    [`base_model.model.${Q}.lora_magnitude_vector`]: { shape: [6], value: () => 2 },
    [`base_model.model.${Q}.lora_B.bias`]: { shape: [6] },
    "base_model.model.model.norm.weight": { shape: [8] },
  };
  const settings = {
    use_dora: true,
    lora_bias: true,
    target_modules: ".*q_proj",
    lora_dropout: 0.25,
    task_type: "CAUSAL_LM",
  };
  const adapter = writeAdapter(folder, { ...pair(Q), ...more }, settings);
  const out = join(folder, "out");
  const { warnings } = await resize({ adapter, rank: 1, out });
  expect(warnings.join()).toMatch(/DoRA/);
  expect(config(out)).toMatchObject({ ...settings, r: 1, lora_alpha: 2 });
  const [own, other] = [adapter, out].map((path) => openSafetensors(join(path, "adapter_model.safetensors")).tensors);
  for (const name of Object.keys(more)) {
    const [a, b] = [own?.get(name), other?.get(name)];
    if (a === undefined || b === undefined) throw new Error(name);
    expect([...numbersOf(b)]).toEqual([...numbersOf(a)]);
  }
});

test("what is resized merges", async () => {
  const folder = temporaryFolder();
  const [base, adapter, out] = [writeBase(folder), writeAdapter(folder), join(folder, "out")];
  await resize({ adapter, rank: 1, out });
  const merged = join(folder, "merged");
  const report = await merge({ base, adapters: [{ path: out }], out: merged, verify: true, workers: 1 });
  expect(report.verification?.passed).toBe(true);
});

describe("other layouts stay what they are", () => {
  test.each(["lora", "locon-tucker", "shapes"])("kohya: %s", async (name) => {
    const adapter = join(FIXTURES, "kohya", name, "adapter.safetensors");
    const out = join(temporaryFolder(), "out.safetensors");
    const { layout, modules } = await resize({ adapter, rank: 1, dtype: "f32", out });
    expect(layout).toBe("kohya");
    await expectBest(adapter, out, modules);
  });

  test("mlx", async () => {
    const adapter = join(FIXTURES, "mlx/lora/adapter");
    const out = join(temporaryFolder(), "out");
    const { layout, modules } = await resize({ adapter, rank: 2, out });
    expect([layout, readdirSync(out).sort()]).toEqual(["mlx", ["adapter_config.json", "adapters.safetensors"]]);
    await expectBest(adapter, out, modules);
  });

  test("those whose names or settings hold more than factors are refused, with the way round", async () => {
    const adapter = join(FIXTURES, "gguf/llama/adapter.gguf");
    const out = join(temporaryFolder(), "out.gguf");
    const error = await errorOfBuilt(() => resize({ adapter, rank: 1, out }));
    expect([error.code, error.hint]).toEqual(["UNSUPPORTED_ADAPTER", expect.stringMatching(/convert --to peft/)]);
  });

  async function expectBest(before: string, after: string, modules: ResizeReport["modules"]) {
    const [old, made] = [await deltasOf(before), await deltasOf(after)];
    expect(made.size).toBe(old.size);
    for (const { name, rank, error } of modules) {
      const [wanted, found] = [old.get(name), made.get(name)];
      const size = norm(wanted?.values ?? []);
      expect([found?.rank, found?.scale]).toEqual([rank, wanted?.scale]);
      expect(Math.abs(distance(found?.values ?? [], wanted?.values ?? []) - error * size)).toBeLessThan(1e-6 * size);
    }
  }
});

describe("refuses, and writes nothing", () => {
  test.each([
    [{}, /a rank or an energy/],
    [{ rank: 0 }, /from 1 on/],
    [{ rank: 1.5 }, /from 1 on/],
    [{ energy: 0 }, /above 0/],
    [{ energy: 1.01 }, /above 0 and up to 1/],
    [{ energy: Number.NaN }, /above 0/],
    [{ rank: 1, dtype: "f8" as "f16" }, /dtype.*expected one of keep/],
    [{ rank: 1, out: "x.safetensors" }, /folder/],
    [{ rank: 1, workers: 0 }, /workers/],
  ])("%j", async (wish, message) => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder);
    const error = await errorOfBuilt(() => resize({ adapter, out: join(folder, "out"), ...wish }));
    expect([error.code, error.message]).toEqual(["INVALID_OPTION", expect.stringMatching(message)]);
    expect(readdirSync(folder)).toEqual(["adapter"]);
  });

  test.each(
    ["loha-conv", "lokr-full", "ia3", "vera", "pissa"].filter((name) => existsSync(join(FIXTURES, "peft", name))),
  )("%s by name", async (name) => {
    const out = join(temporaryFolder(), "out");
    const error = await errorOfBuilt(() => resize({ adapter: join(FIXTURES, "peft", name, "adapter"), rank: 1, out }));
    expect(error).toMatchObject({ code: "UNSUPPORTED_ADAPTER", subject: expect.stringMatching(/./) });
    expect(existsSync(out)).toBe(false);
  });

  test("NaN in a factor, naming the module", async () => {
    const folder = temporaryFolder();
    const down = `base_model.model.${V}.lora_A.weight`;
    const adapter = writeAdapter(folder, {
      ...pair(Q),
      ...pair(V),
      [down]: { shape: [2, 8], value: () => Number.NaN },
    });
    const error = await errorOfBuilt(() => resize({ adapter, rank: 1, out: join(folder, "out") }));
    expect([error.code, error.subject]).toEqual(["NON_FINITE", V]);
    expect(readdirSync(folder)).toEqual(["adapter"]);
  });

  test("an output that exists, and the adapter itself", async () => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder);
    const other = writeAdapter(folder, undefined, {}, "other");
    for (const [out, overwrite, code] of [
      [other, false, "OUTPUT_EXISTS"],
      [adapter, true, "SAME_PATH"],
    ] as const) {
      expect((await errorOfBuilt(() => resize({ adapter, rank: 1, out, overwrite }))).code).toBe(code);
    }
    expect(readdirSync(folder)).toEqual(["adapter", "other"]);
  });

  test("a run that is interrupted", async () => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder);
    const signal = AbortSignal.abort();
    expect((await errorOfBuilt(() => resize({ adapter, rank: 1, out: join(folder, "out"), signal }))).code).toBe(
      "INTERRUPTED",
    );
    expect(readdirSync(folder)).toEqual(["adapter"]);
  });
});
