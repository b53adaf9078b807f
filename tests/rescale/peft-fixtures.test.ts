/**
 * Every LoRA adapter under fixtures, under the other convention: the weights are the same bytes, the merged model is the
 * same bytes, and converting back gives the same file. Folded into lora_B and padded, it merges to the same numbers.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { merge, rescale } from "lora-tool";
import { describe, expect, test } from "vitest";
import { readTensorBytes } from "../../src/formats/byte-source.ts";
import { openModel } from "../../src/formats/open-model.ts";
import { errorOfBuilt } from "../support/errors.ts";
import { numbersOf } from "../support/read-tensor.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");

interface Case {
  readonly name: string;
  readonly base: string;
  readonly adapter: string;
  readonly settings: {
    readonly peft_type?: unknown;
    readonly use_rslora?: unknown;
    readonly rank_pattern?: object;
    readonly alpha_pattern?: object;
  };
  readonly expertOrder?: "expert-major";
}

const peftCases = readdirSync(join(FIXTURES, "peft")).flatMap((name): Case[] => {
  const folder = join(FIXTURES, "peft", name);
  const {
    expect: outcome,
    may_refuse,
    base,
    adapters,
    options,
  } = JSON.parse(readFileSync(join(folder, "case.json"), "utf8"));
  if (outcome !== "merge" || may_refuse) return [];
  const paths: readonly string[] = adapters.map(({ path }: { path: string }) => join(folder, path));
  return paths.map((adapter) => ({
    name: paths.length === 1 ? name : `${name} ${adapter.slice(folder.length)}`,
    base: join(folder, base),
    adapter,
    settings: settingsOf(adapter),
    ...(options?.expert_major && { expertOrder: "expert-major" as const }),
  }));
});

const trained = readdirSync(join(FIXTURES, "adapters")).map((name): Case => {
  const adapter = join(FIXTURES, "adapters", name);
  return { name, base: join(FIXTURES, "stories260K"), adapter, settings: settingsOf(adapter) };
});

const cases = [...peftCases, ...trained];
const [loras, others] = [true, false].map((isLora) =>
  cases.filter((one) => (one.settings.peft_type === "LORA") === isLora),
);

function settingsOf(adapter: string): Case["settings"] {
  const folder = adapter.endsWith(".safetensors") ? join(adapter, "..") : adapter;
  return JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8"));
}

const weightsOf = (adapter: string) =>
  readFileSync(adapter.endsWith(".safetensors") ? adapter : join(adapter, "adapter_model.safetensors"));

const configOf = (adapter: string) => readFileSync(join(adapter, "adapter_config.json"), "utf8");

async function mergedTensors({ base, expertOrder }: Case, adapter: string, out: string) {
  await merge({ base, adapters: [{ path: adapter }], out, workers: 1, expertOrder, allowUnchanged: true });
  return (await openModel(out)).store.tensors;
}

/** Of every kind that folding or padding treats in its own way, in every dtype that there is. */
const FOLDED = new Set([
  "llama-lora",
  "llama-bf16-adapter-bf16",
  "llama-f32-adapter-f16",
  "llama-mixed-dtypes",
  "llama-patterns-layer10",
  "llama-dora-rslora",
  "embedding-dora",
  "conv2d-dora",
  "conv2d-lora-bias",
  "bdlora",
  "pissa",
  "multihead-attention",
  "gpt-oss-experts",
  "mixtral-expert-major",
  "mixtral-swapped",
  "shakespeare-patterns",
]);

/** Keys that overlap, so that rescaling replaces them by names: the alphas come back and the keys do not. */
const OVERLAPPING = new Set(["llama-patterns"]);

describe.each(loras ?? [])("$name", (one) => {
  const from = one.settings.use_rslora === true ? "rslora" : "lora";
  const to = from === "lora" ? "rslora" : "lora";

  test("keeps weights and merged model byte for byte under the other convention, and comes back", async () => {
    const folder = temporaryFolder();
    const [there, back, again] = [join(folder, "there"), join(folder, "back"), join(folder, "again")];
    const report = await rescale({ adapter: one.adapter, to, out: there });
    expect(report.weights).toBe("same");
    expect(report.modules.filter((module) => !module.exact)).toEqual([]);
    expect(weightsOf(there).equals(weightsOf(one.adapter))).toBe(true);
    expect(settingsOf(there).use_rslora).toBe(to === "rslora");

    const returned = await rescale({ adapter: there, to: from, out: back });
    const alphas = (modules: typeof report.modules, key: "alphaBefore" | "alphaAfter") =>
      modules.map((row) => row[key]);
    expect(alphas(returned.modules, "alphaAfter")).toEqual(alphas(report.modules, "alphaBefore"));
    if (!OVERLAPPING.has(one.name)) expect(settingsOf(back)).toEqual({ use_rslora: false, ...one.settings });
    await rescale({ adapter: back, to: from, out: again });
    expect(configOf(again)).toBe(configOf(back));

    const before = await mergedTensors(one, one.adapter, join(folder, "before"));
    expectSameBytes(await mergedTensors(one, there, join(folder, "after")), before);
    if (!FOLDED.has(one.name)) return;

    const folded = join(folder, "folded");
    const flatten = one.name !== "pissa" && Object.keys(one.settings.rank_pattern ?? {}).length > 0;
    const wish = { adapter: one.adapter, to, out: folded, bake: true, flatten, expertOrder: one.expertOrder } as const;
    const { modules, result } = await rescale(wish);
    expect(modules.every(({ scaleAfter }) => scaleAfter === 1)).toBe(true);
    const settings = settingsOf(folded);
    if (flatten) expect([settings.rank_pattern, settings.alpha_pattern]).toEqual([{}, {}]);
    expectNear(await mergedTensors(one, folded, join(folder, "refolded")), before, result?.largestError ?? 0);
  });
});

type Tensors = Awaited<ReturnType<typeof mergedTensors>>;

function expectSameBytes(found: Tensors, wanted: Tensors): void {
  expect([...found.keys()]).toEqual([...wanted.keys()]);
  for (const [name, tensor] of found) {
    const own = wanted.get(name);
    expect(own && Buffer.compare(readTensorBytes(own), readTensorBytes(tensor)), name).toBe(0);
  }
}

/** Apart by the rounding of lora_B, which sums over the rank, and by that of the output. */
function expectNear(found: Tensors, wanted: Tensors, rounding: number): void {
  for (const [name, tensor] of found) {
    const own = wanted.get(name);
    if (own === undefined) throw new Error(name);
    const [values, right] = [numbersOf(tensor), numbersOf(own)];
    const size = right.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const allowed = (8 * rounding + LAST_BIT[tensor.dtype as keyof typeof LAST_BIT]) * size;
    const furthest = values.reduce((most, value, index) => Math.max(most, Math.abs(value - (right[index] ?? 0))), 0);
    expect(furthest, name).toBeLessThanOrEqual(allowed);
  }
}

const LAST_BIT = { f32: 2 ** -20, f16: 2 ** -10, bf16: 2 ** -7 };

test.each([
  ["olora", "folding", /its scale cannot be folded/],
  ["pissa", "padding", /as many directions .* as the rank/],
])("%s: %s is refused, for its base depends on it", async (name, _, message) => {
  const folder = temporaryFolder();
  const adapter = join(FIXTURES, "peft", name, "adapter");
  const wish = { adapter, to: "lora", bake: true, flatten: true, out: join(folder, "out") } as const;
  const error = await errorOfBuilt(() => rescale(wish));
  expect([error.code, error.message]).toEqual(["UNSUPPORTED_ADAPTER", expect.stringMatching(message)]);
  expect(readdirSync(folder)).toEqual([]);
});

test.each(others ?? [])("$name, which has one convention, is refused", async ({ adapter }) => {
  const folder = temporaryFolder();
  const error = await errorOfBuilt(() => rescale({ adapter, to: "rslora", out: join(folder, "out") }));
  expect(error.code).toBe("UNSUPPORTED_ADAPTER");
  expect(error.message).toMatch(/AdaLoRA|LoHa|LoKr|IA3|trainable tokens|LN tuning/);
  expect(readdirSync(folder)).toEqual([]);
});
