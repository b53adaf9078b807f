/**
 * Whatever ranks, alphas, conventions, dtypes and kinds: the delta of every module is the same in every layout that can hold
 * it, through any chain of them, but for one rounding to f32 where a scale had to be folded; factors whose scale was not
 * folded are the same numbers.
 */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Adapter, type AdapterModule, CONVENTIONS, type Layout } from "../../src/adapters/adapter.ts";
import { factorViews } from "../../src/adapters/resolve/factor-views.ts";
import { effectiveScale } from "../../src/adapters/scale.ts";
import { encodeElement } from "../../src/core/cast/float-codec.ts";
import { type FloatDtype, floatBytes } from "../../src/core/dtype.ts";
import type { JsonObject } from "../../src/core/json.ts";
import type { TensorData } from "../../src/formats/tensor-store.ts";
import { adapter } from "../adapters/resolve/build.ts";
import { deltaOf, elementsOf, written } from "./written.ts";

const LLAMA: JsonObject = new Map<string, string | number | boolean>([
  ["model_type", "llama"],
  ["num_hidden_layers", 3],
  ["num_attention_heads", 2],
  ["num_key_value_heads", 1],
  ["tie_word_embeddings", false],
]);

/** Of small layers; q and k have rows for heads of 4. */
const LAYERS = [
  ["self_attn.q_proj", 8, 6],
  ["self_attn.k_proj", 4, 6],
  ["mlp.down_proj", 6, 10],
] as const;

function tensor(name: string, shape: readonly number[], dtype: FloatDtype, seed: number): TensorData {
  const count = shape.reduce((product, size) => product * size, 1);
  const bytes = new Uint8Array(count * floatBytes(dtype));
  for (let at = 0; at < count; at++) encodeElement(dtype, Math.sin(seed + 1.7 * at), bytes, at * floatBytes(dtype));
  return { name, dtype, shape, byteLength: bytes.length, source: { kind: "memory", bytes } };
}

interface Drawn {
  readonly convention: (typeof CONVENTIONS)[number];
  readonly dtypes: readonly FloatDtype[];
  readonly ranks: readonly number[];
  readonly alphas: readonly number[];
  readonly dora: boolean;
}

const drawn: fc.Arbitrary<Drawn> = fc.record({
  convention: fc.constantFrom(...CONVENTIONS),
  dtypes: fc.array(fc.constantFrom<FloatDtype>("f32", "bf16", "f16"), { minLength: 2, maxLength: 2 }),
  ranks: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 9, maxLength: 9 }),
  alphas: fc.array(fc.oneof(fc.constantFrom(1, 2, 4, 8, 16), fc.double({ min: 0.01, max: 99, noNaN: true })), {
    minLength: 9,
    maxLength: 9,
  }),
  dora: fc.boolean(),
});

function module(
  name: string,
  shapes: Shapes,
  index: number,
  given: Drawn,
  more: Partial<AdapterModule>,
): AdapterModule {
  const [rank = 1, alpha = 1] = [given.ranks[index % 9], given.alphas[index % 9]];
  const [first = "f32", second = "f32"] = given.dtypes;
  const [down, up] = shapes(rank);
  return {
    name,
    kind: "linear",
    delta: {
      kind: "lora",
      down: tensor(`${name}.down`, down, first, index),
      up: tensor(`${name}.up`, up, index % 2 === 0 ? first : second, index + 100),
    },
    rank,
    alpha,
    scale: effectiveScale(given.convention, alpha, rank),
    ...more,
  };
}

type Shapes = (rank: number) => readonly [down: readonly number[], up: readonly number[]];

const linear =
  (outputs: number, inputs: number): Shapes =>
  (rank) => [
    [rank, inputs],
    [outputs, rank],
  ];

/** Three layers of a Llama, and its embedding where the layouts have place for one. */
function languageAdapter(given: Drawn, withEmbedding: boolean, withMagnitude: boolean): Adapter {
  const modules = [0, 1, 2].flatMap((layer) =>
    LAYERS.map(([path, outputs, inputs], index) => {
      const name = `model.layers.${layer}.${path}`;
      const magnitude = withMagnitude ? { magnitude: tensor(`${name}.m`, [outputs], "f32", index) } : {};
      return module(name, linear(outputs, inputs), layer * 3 + index, given, magnitude);
    }),
  );
  const embedding = module("model.embed_tokens", linear(6, 20), 4, given, { kind: "embedding" });
  return adapter({ convention: given.convention, modules: withEmbedding ? [...modules, embedding] : modules });
}

/** Linear layers and convolutions of a UNet, and a text encoder. */
function pipelineAdapter(given: Drawn): Adapter {
  const block = "unet.down_blocks.0";
  const names = ["attn1.to_q", "attn2.to_out.0", "ff.net.0.proj"];
  const modules = [
    ...names.map((name, index) =>
      module(`${block}.attentions.0.transformer_blocks.0.${name}`, linear(8, 6), index, given, {}),
    ),
    module(
      `${block}.resnets.0.conv1`,
      (rank) => [
        [rank, 4, 3, 3],
        [6, rank, 1, 1],
      ],
      4,
      given,
      { kind: "conv" },
    ),
    module(
      `${block}.attentions.0.proj_in`,
      (rank) => [
        [rank, 4, 1, 1],
        [6, rank, 1, 1],
      ],
      5,
      given,
      {},
    ),
    module("text_encoder.text_model.encoder.layers.0.mlp.fc1", linear(8, 6), 6, given, {}),
  ];
  return adapter({ layout: "diffusers", convention: given.convention, modules });
}

function expectSame(before: Adapter, after: Adapter, steps: number): void {
  const byName = new Map(after.modules.map((own) => [own.name, own]));
  expect([...byName.keys()].sort()).toEqual(before.modules.map(({ name }) => name).sort());
  for (const one of before.modules) {
    const other = byName.get(one.name) as AdapterModule;
    const [wanted, found] = [deltaOf(one), deltaOf(other)];
    expect([found.rows, found.columns]).toEqual([wanted.rows, wanted.columns]);
    const size = wanted.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    // Sums of five products, one rounding of scale or `up` to f32 each step.
    const allowed = steps * 8 * 2 ** -24 * size;
    for (const [at, value] of wanted.values.entries()) {
      if (!(Math.abs((found.values[at] ?? Number.NaN) - value) <= allowed)) {
        throw new Error(`${one.name}[${at}]: expected ${value}, got ${found.values[at]}`);
      }
    }
    expect(other.magnitude && [...elementsOf(vectorOf(other.magnitude))]).toEqual(
      one.magnitude && [...elementsOf(vectorOf(one.magnitude))],
    );
  }
}

function vectorOf(one: TensorData) {
  const columns = one.shape.reduce((product, size) => product * size, 1);
  return { tensor: one, rows: 1, columns, offset: 0, rowStride: columns, columnStride: 1 };
}

/** Factors as numbers, whatever turns them. */
function factorsOf({ delta }: AdapterModule) {
  if (delta.kind !== "lora") throw new Error(delta.kind);
  const { up, down } = factorViews(delta);
  return { up: [...elementsOf(up)], down: [...elementsOf(down)] };
}

const chains = (layouts: readonly Layout[]) => fc.array(fc.constantFrom(...layouts), { minLength: 1, maxLength: 4 });

function through(start: Adapter, chain: readonly Layout[]): Adapter {
  return chain.reduce((one, layout) => written(one, layout, LLAMA), start);
}

describe("through any chain of layouts", () => {
  test("linear layers of a language model keep their deltas", () => {
    fc.assert(
      fc.property(drawn, chains(["peft", "mlx", "gguf", "onnx-adapter", "kohya"]), (given, chain) => {
        const start = languageAdapter(given, false, false);
        expectSame(start, through(start, chain), chain.length);
      }),
    );
  });

  test("embeddings too, where there is place for them", () => {
    fc.assert(
      fc.property(drawn, chains(["peft", "mlx", "gguf"]), (given, chain) => {
        const start = languageAdapter(given, true, false);
        expectSame(start, through(start, chain), chain.length);
      }),
      { numRuns: 40 },
    );
  });

  test("DoRA keeps deltas and magnitudes", () => {
    fc.assert(
      fc.property(drawn, chains(["peft", "mlx", "kohya"]), (given, chain) => {
        const start = languageAdapter(given, false, true);
        expectSame(start, through(start, chain), chain.length);
      }),
      { numRuns: 40 },
    );
  });

  test("an image pipeline keeps its deltas", () => {
    fc.assert(
      fc.property(drawn, chains(["kohya", "diffusers"]), (given, chain) => {
        const start = pipelineAdapter(given);
        expectSame(start, through(start, chain), chain.length);
      }),
      { numRuns: 40 },
    );
  });
});

test("layouts with a scale for each module never touch the factors, and writing twice gives the same", () => {
  fc.assert(
    fc.property(drawn, fc.constantFrom<Layout>("peft", "kohya"), (given, layout) => {
      const start = languageAdapter(given, false, false);
      const once = written(start, layout, LLAMA);
      for (const one of start.modules) {
        const other = once.modules.find(({ name }) => name === one.name) as AdapterModule;
        expect(factorsOf(other)).toEqual(factorsOf(one));
      }
      const twice = written(once, layout, LLAMA);
      expect(twice.modules.map(({ name, scale }) => [name, scale])).toEqual(
        once.modules.map(({ name, scale }) => [name, scale]),
      );
      for (const [index, one] of once.modules.entries()) {
        expect(factorsOf(twice.modules[index] as AdapterModule)).toEqual(factorsOf(one));
      }
    }),
  );
});
