import { describe, expect, test } from "vitest";
import type { AdapterModule, LoraDelta } from "../../../src/adapters/adapter.ts";
import { lora, model, resolve, tensor } from "./build.ts";

const LLAMA = { model_type: "llama", num_attention_heads: 2, num_key_value_heads: 1, hidden_size: 8 };

async function problemsOf(module: AdapterModule, shapes: Record<string, readonly number[]>, config?: typeof LLAMA) {
  const { problems, unmatched } = await resolve({ modules: [module] }, model(shapes, config));
  return [...problems, ...unmatched].join("\n");
}

function full(shape: readonly number[], parameter?: string): AdapterModule {
  const delta = { kind: "full" as const, values: tensor("a.diff", shape) };
  return { name: "a", kind: "linear", delta, rank: 0, alpha: 0, scale: 1, ...(parameter && { parameter }) };
}

describe("rows in llama.cpp's order", () => {
  const module = lora("a", 8, 4, { interleavedHeads: "query" });
  const shapes = { "a.weight": [8, 4] };

  test("are put back by the heads of the config", async () => {
    const up = tensor("a.lora_B.weight", [8, 1]);
    const values = new Float32Array(up.byteLength / 4).map((_, row) => row);
    const source = { kind: "memory" as const, bytes: new Uint8Array(values.buffer) };
    const delta: LoraDelta = { kind: "lora", down: tensor("a.lora_A.weight", [1, 4]), up: { ...up, source } };
    const { edits } = await resolve({ modules: [{ ...module, delta, rank: 1 }] }, model(shapes, LLAMA));
    const [step] = edits[0]?.steps ?? [];
    if (step?.kind !== "low-rank" || step.left.tensor.source.kind !== "memory") throw new Error("expected a product");
    expect([...new Float32Array(step.left.tensor.source.bytes.buffer)]).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  });

  test.each([
    ["without a config", undefined, /llama, mistral, mixtral/],
    ["of another model", { ...LLAMA, model_type: "qwen2" }, /llama, mistral, mixtral/],
    ["without a number of heads", { ...LLAMA, num_attention_heads: 0 }, /num_attention_heads/],
    ["of heads that do not divide them", { ...LLAMA, num_attention_heads: 3 }, /3 heads/],
  ])("are refused %s", async (_, config, message) => {
    expect(await problemsOf(module, shapes, config)).toMatch(message);
  });
});

describe("a whole change", () => {
  test.each<[what: string, change: readonly number[], weight: readonly number[]]>([
    ["of the same shape", [4, 6], [4, 6]],
    ["of a convolution with a kernel of 1", [4, 6, 1, 1], [4, 6]],
  ])("%s is added", async (_, change, weight) => {
    expect(await problemsOf(full(change), { "a.weight": weight })).toBe("");
  });

  test.each<[what: string, change: readonly number[]]>([
    ["turned", [6, 4]],
    ["of another size", [4, 7]],
    ["of as many elements", [3, 8]],
  ])("%s is refused", async (_, change) => {
    expect(await problemsOf(full(change), { "a.weight": [4, 6] })).toMatch(/expected \[4, 6\]/);
  });

  test("of a bias that the layer lacks is refused", async () => {
    expect(await problemsOf(full([4], "bias"), { "a.weight": [4, 6] })).toMatch(/no such tensor/);
  });
});

describe("IA3 about one", () => {
  const ia3 = (feedforward: boolean): AdapterModule => {
    const delta = { kind: "ia3" as const, vector: tensor("a.weight", [4]), feedforward, aboutOne: true as const };
    return { name: "a", kind: "linear", delta, rank: 0, alpha: 0, scale: 1 };
  };

  test("of outputs is refused where there is a bias, which versions treat differently", async () => {
    expect(await problemsOf(ia3(false), { "a.weight": [4, 4], "a.bias": [4] })).toMatch(/versions of LyCORIS differ/);
  });

  test("of inputs leaves the bias alone", async () => {
    const { edits } = await resolve({ modules: [ia3(true)] }, model({ "a.weight": [4, 4], "a.bias": [4] }));
    expect(edits.map(({ tensor: name }) => name)).toEqual(["a.weight"]);
  });
});

test("turned factors are taken by their strides", async () => {
  const delta: LoraDelta = {
    kind: "lora",
    down: tensor("a.lora_a", [6, 2]),
    up: tensor("a.lora_b", [2, 4]),
    transposed: "both",
  };
  const module: AdapterModule = { name: "a", kind: "linear", delta, rank: 2, alpha: 1, scale: 0.5 };
  const { edits } = await resolve({ modules: [module] }, model({ "a.weight": [4, 6] }));
  expect(edits[0]?.steps).toMatchObject([
    {
      left: { rows: 4, columns: 2, rowStride: 1, columnStride: 4 },
      right: { rows: 2, columns: 6, rowStride: 1, columnStride: 2 },
    },
  ]);
  expect(await problemsOf(module, { "a.weight": [6, 4] })).toMatch(/shapes do not fit/);
});
