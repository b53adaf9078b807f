/** Layers that lie in the base in another shape than the adapter sees them, computed and compared with plain sums. */

import { describe, expect, it } from "vitest";
import type { AdapterModule } from "../../../src/adapters/adapter.ts";
import type { Model } from "../../../src/formats/model.ts";
import type { TensorData } from "../../../src/formats/tensor-store.ts";
import { applyEdits, numbersOf } from "../../reference/apply-edits.ts";
import { experts, lora, model, resolve, tensor, touched } from "./build.ts";

/** scale · up · down as [outputs][inputs], of one expert if there are several. */
function deltaOf({ delta, scale, rank }: AdapterModule, expert = 0, count = 1, order = "rank-major"): number[][] {
  if (delta.kind !== "lora") throw new Error(delta.kind);
  const [down, up] = [numbersOf(delta.down), numbersOf(delta.up)];
  const [outputs, inputs] = [delta.up.shape[0] ?? 0, delta.down.shape[1] ?? 0];
  return Array.from({ length: outputs }, (_, output) =>
    Array.from({ length: inputs }, (_, input) => {
      let sum = 0;
      for (let k = 0; k < rank; k++) {
        const column = order === "rank-major" ? k * count + expert : expert * rank + k;
        sum += (up[output * rank * count + column] ?? 0) * (down[(expert * rank + k) * inputs + input] ?? 0);
      }
      return scale * sum;
    }),
  );
}

const turned = (matrix: number[][]) => (matrix[0] ?? []).map((_, column) => matrix.map((row) => row[column] ?? 0));

/** How far the edits moved a tensor. */
async function moved(modules: readonly AdapterModule[], base: Model, name: string, options = {}) {
  const resolved = await resolve({ modules }, base, options);
  expect([...resolved.problems, ...resolved.unmatched]).toEqual([]);
  const source = base.store.tensors.get(name) as TensorData;
  const after = applyEdits(
    source,
    resolved.edits.filter((edit) => edit.tensor === name),
  );
  return Array.from(numbersOf(source), (before, index) => (after[index] ?? Number.NaN) - before);
}

function expectClose(actual: readonly number[], wanted: readonly number[]) {
  expect(actual).toHaveLength(wanted.length);
  for (const [index, value] of wanted.entries()) expect(actual[index]).toBeCloseTo(value, 12);
}

const zeros = (count: number) => new Array<number>(count).fill(0);

describe("HF Conv1D", () => {
  it.each(["gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp"])(
    "is transposed in %s, whatever the flag",
    async (type) => {
      const module = lora("h.0.mlp.c_proj", 4, 4);
      const base = model({ "h.0.mlp.c_proj.weight": [4, 4] }, { model_type: type });
      expectClose(await moved([module], base, "h.0.mlp.c_proj.weight"), turned(deltaOf(module)).flat());
    },
  );

  it.each([
    ["a model type without Conv1D", { model_type: "gpt_bigcode" }, {}],
    ["a sibling that shows [out, in]", undefined, { "h.0.mlp.c_fc.weight": [16, 4] }],
    ["a sibling of a model type that is not known", { model_type: "x" }, { "h.0.mlp.c_fc.weight": [16, 4] }],
  ])("is not assumed with %s", async (_, config, more) => {
    const module = lora("h.0.mlp.c_proj", 4, 4);
    const base = model({ "h.0.mlp.c_proj.weight": [4, 4], ...more }, config);
    expectClose(await moved([module], base, "h.0.mlp.c_proj.weight"), deltaOf(module).flat());
  });

  it.each([undefined, { model_type: "own-gpt" }])("shows in the siblings of a model with config %o", async (config) => {
    const module = lora("h.0.mlp.c_proj", 4, 4);
    const base = model({ "h.0.mlp.c_proj.weight": [4, 4], "h.0.attn.c_attn.weight": [4, 12] }, config);
    expectClose(await moved([module], base, "h.0.mlp.c_proj.weight"), turned(deltaOf(module)).flat());
  });

  it("is believed of fan_in_fan_out only where nothing else tells, with a warning", async () => {
    const base = model({ "h.0.c_proj.weight": [4, 4] });
    const resolved = await resolve({ modules: [lora("h.0.c_proj", 4, 4)], fanInFanOut: true }, base);
    expect(resolved.problems).toEqual([]);
    expect(resolved.warnings).toEqual([
      expect.stringContaining("taken as [in, out] because the adapter says fan_in_fan_out"),
    ]);
    const [step] = resolved.edits[0]?.steps ?? [];
    expect(step).toMatchObject({ kind: "low-rank", right: { tensor: { name: "h.0.c_proj.lora_B.weight" } } });
  });

  it("takes PiSSA of the transposed weight and OLoRA of the stored one, as PEFT does", async () => {
    const base = model({ "h.0.mlp.c_proj.weight": [4, 4] }, { model_type: "gpt2" });
    for (const residual of ["pissa", "olora"] as const) {
      const { edits } = await resolve({ modules: [lora("h.0.mlp.c_proj", 4, 4, { residual })] }, base, { weight: 0.5 });
      expect(edits[0]?.steps[0]).toMatchObject({
        kind: "residual",
        transposed: residual === "pissa",
        scale: 0.5,
        weight: 0.5,
        rank: 2,
      });
    }
  });

  it("takes nothing out of a weight that the adapter carries: the initialisation has been taken out of it", async () => {
    const base = model({ "lm_head.weight": [4, 4] }, { model_type: "llama" });
    const head = lora("lm_head", 4, 4, { residual: "pissa", baseWeight: tensor("w", [4, 4]) });
    const { edits } = await resolve({ modules: [head] }, base);
    expect(edits.map(({ replacement, steps }) => [replacement?.name, steps.map(({ kind }) => kind)])).toEqual([
      ["w", ["low-rank"]],
    ]);
  });
});

describe("fused layers", () => {
  const phi = { model_type: "phi3", num_attention_heads: 4, num_key_value_heads: 2, hidden_size: 8 };

  it.each([
    ["q_proj", 8, 0],
    ["k_proj", 4, 8],
    ["v_proj", 4, 12],
  ])("adds %s to its rows of qkv_proj", async (name, outputs, start) => {
    const module = lora(`a.${name}`, outputs, 4);
    const base = model({ "a.qkv_proj.weight": [16, 4] }, phi);
    const wanted = [...zeros(start * 4), ...deltaOf(module).flat(), ...zeros((16 - start - outputs) * 4)];
    expectClose(await moved([module], base, "a.qkv_proj.weight"), wanted);
  });

  it("takes the size of heads from config.json, of the text part where there is one", async () => {
    const text_config = { num_attention_heads: 2, head_dim: 3 };
    const base = model({ "a.qkv_proj.weight": [18, 4] }, { model_type: "x", hidden_size: 100, text_config });
    const { edits, problems } = await resolve({ modules: [lora("a.v_proj", 6, 4)] }, base);
    expect(problems).toEqual([]);
    expect(edits).toMatchObject([{ steps: [{ rowStart: 12 }] }]);
  });

  it.each([
    ["of another size than its heads", "a.q_proj", 6, phi, "is for 6 outputs and 4 inputs, expected 8 and 4"],
    ["keys of another size", "a.k_proj", 2, phi, "is for 2 outputs and 4 inputs, expected 4 and 4"],
    [
      "without heads in config.json",
      "a.q_proj",
      8,
      { model_type: "phi3" },
      "expected num_attention_heads and head_dim",
    ],
    ["without config.json", "a.q_proj", 8, undefined, "expected num_attention_heads and head_dim"],
    [
      "whose heads do not fill it",
      "a.q_proj",
      8,
      { ...phi, num_key_value_heads: 4 },
      "expected 8 + 8 + 8 rows for q_proj, k_proj, v_proj, got 16",
    ],
    ["of a half", "m.up_proj", 4, phi, "is for 4 outputs and 4 inputs, expected 3 and 4"],
  ] as const)("refuses a part %s", async (_, name, outputs, config, line) => {
    const base = model({ "a.qkv_proj.weight": [16, 4], "m.gate_up_proj.weight": [6, 4] }, config);
    const { problems, edits } = await resolve({ modules: [lora(name, outputs, 4)] }, base);
    expect(problems).toEqual([expect.stringContaining(line)]);
    expect(edits).toEqual([]);
  });

  it("adds gate_proj and up_proj to their halves of gate_up_proj", async () => {
    const [gate, up] = [lora("m.gate_proj", 3, 4), lora("m.up_proj", 3, 4)];
    const base = model({ "m.gate_up_proj.weight": [6, 4] }, phi);
    expectClose(await moved([gate, up], base, "m.gate_up_proj.weight"), [deltaOf(gate), deltaOf(up)].flat(2));
  });

  it("cuts qkv_proj for a base that stores its parts", async () => {
    const module = lora("a.qkv_proj", 8, 4);
    const base = model({ "a.q_proj.weight": [4, 4], "a.k_proj.weight": [2, 4], "a.v_proj.weight": [2, 4] }, phi);
    const delta = deltaOf(module);
    expectClose(await moved([module], base, "a.q_proj.weight"), delta.slice(0, 4).flat());
    expectClose(await moved([module], base, "a.k_proj.weight"), delta.slice(4, 6).flat());
    expectClose(await moved([module], base, "a.v_proj.weight"), delta.slice(6).flat());
  });

  it.each(["codegen", "minimax"])("leaves a qkv_proj of %s alone, whose rows are ordered by heads", async (type) => {
    const base = model({ "a.qkv_proj.weight": [12, 4] }, { ...phi, model_type: type });
    expect((await resolve({ modules: [lora("a.q_proj", 4, 4)] }, base)).unmatched).toHaveLength(1);
  });
});

describe("experts", () => {
  const E = 3;

  it.each(["rank-major", "expert-major"] as const)("reads factors that are %s", async (order) => {
    const module = experts("m.experts", "gate_up_proj", [E, 6, 4]);
    const base = model({ "m.experts.gate_up_proj": [E, 6, 4] });
    const wanted = [0, 1, 2].flatMap((expert) => deltaOf(module, expert, E, order).flat());
    expectClose(await moved([module], base, "m.experts.gate_up_proj", { expertOrder: order }), wanted);
  });

  it("takes the order that the adapter states unless told otherwise", async () => {
    const module = experts("m.experts", "down_proj", [E, 6, 4], {
      expertLayout: { order: "expert-major", swapped: false },
    });
    const base = model({ "m.experts.down_proj": [E, 6, 4] });
    expectClose(
      await moved([module], base, "m.experts.down_proj"),
      [0, 1, 2].flatMap((e) => deltaOf(module, e, E, "expert-major").flat()),
    );
  });

  it("cuts swapped factors for a base of single experts along their inputs", async () => {
    // Reads the 2·3 rows of gate and up, writes the 4 columns.
    const module = experts("m.experts", "gate_up_proj", [E, 4, 6]);
    const names = [0, 1, 2].flatMap((e) => [`m.experts.${e}.w1.weight`, `m.experts.${e}.w3.weight`]);
    const base = model(Object.fromEntries(names.map((name) => [name, [3, 4]])), { model_type: "mixtral" });
    const delta = turned(deltaOf(module, 1, E));
    expectClose(await moved([module], base, "m.experts.1.w1.weight"), delta.slice(0, 3).flat());
    expectClose(await moved([module], base, "m.experts.1.w3.weight"), delta.slice(3).flat());
  });

  it("places one expert's up_proj in a stack that holds (E, in, out)", async () => {
    const module = lora("m.experts.1.up_proj", 3, 4);
    const tensors = { "m.experts.gate_up_proj": [2, 4, 6], "m.experts.down_proj": [2, 3, 4] };
    const delta = deltaOf(module);
    const wanted = zeros(24).concat(
      Array.from({ length: 24 }, (_, at) => delta[(at % 6) - 3]?.[Math.floor(at / 6)] ?? 0),
    );
    const base = model(tensors, { model_type: "qwen3_vl_moe" });
    expectClose(await moved([module], base, "m.experts.gate_up_proj"), wanted);
  });

  it("finds the experts of a fused parameter under the names of Mixtral's files", async () => {
    const module = experts("model.layers.0.mlp.experts", "down_proj", [2, 4, 3]);
    const base = model(
      {
        "model.layers.0.block_sparse_moe.experts.0.w2.weight": [4, 3],
        "model.layers.0.block_sparse_moe.experts.1.w2.weight": [4, 3],
      },
      { model_type: "mixtral" },
    );
    const name = "model.layers.0.block_sparse_moe.experts.1.w2.weight";
    expectClose(await moved([module], base, name), deltaOf(module, 1, 2).flat());
  });
});

describe("VeRA", () => {
  const vera = (outputs: number, more: Partial<Extract<AdapterModule["delta"], { kind: "vera" }>> = {}) => ({
    ...lora("x.c_proj", 1, 1),
    delta: {
      kind: "vera" as const,
      down: tensor("base_model.vera_A", [2, 7]),
      up: tensor("base_model.vera_B", [9, 2]),
      ranks: tensor("d", [2]),
      outputs: tensor("b", [outputs]),
      ...more,
    },
  });

  /** b_i · Σ_k B_ik · d_k · A_kj */
  function deltaOfVera({ delta, scale }: ReturnType<typeof vera>, outputs: number, inputs: number): number[][] {
    const [a, b, d, l] = [delta.down, delta.up, delta.ranks, delta.outputs].map(numbersOf);
    return Array.from({ length: outputs }, (_, i) =>
      Array.from({ length: inputs }, (_, j) => {
        const sum = [0, 1].reduce((s, k) => s + (b?.[i * 2 + k] ?? 0) * (d?.[k] ?? 0) * (a?.[k * 7 + j] ?? 0), 0);
        return scale * (l?.[i] ?? 0) * sum;
      }),
    );
  }

  it("cuts the shared projections to the size of the layer, transposed or not", async () => {
    const module = vera(6);
    const delta = deltaOfVera(module, 6, 4);
    const name = "x.c_proj.weight";
    expectClose(await moved([module], model({ [name]: [6, 4] }, { model_type: "llama" }), name), delta.flat());
    expectClose(await moved([module], model({ [name]: [4, 6] }, { model_type: "gpt2" }), name), turned(delta).flat());
  });

  it.each([
    ["a layer with more inputs than the projection", [6, 8], {}, 'shared projection "base_model.vera_A"'],
    ["a layer with more outputs than the projection", [10, 4], { outputs: tensor("b", [10]) }, '"base_model.vera_B"'],
    ["outputs of another layer", [5, 4], {}, "expected 5 numbers, one for each output, got [6]"],
    ["numbers of another rank", [6, 4], { ranks: tensor("d", [3]) }, "expected 2 numbers, one for each rank, got [3]"],
  ] as const)("refuses %s", async (_, shape, more, line) => {
    const base = model({ "x.c_proj.weight": shape }, { model_type: "llama" });
    expect((await resolve({ modules: [vera(6, more)] }, base)).problems).toEqual([expect.stringContaining(line)]);
  });
});

describe("weights of adapters", () => {
  it("multiply a plain delta and its bias", async () => {
    const module = lora("x", 4, 3, { bias: tensor("b", [4]) });
    const { edits } = await resolve({ modules: [module] }, model({ "x.weight": [4, 3], "x.bias": [4] }), {
      weight: -0.5,
    });
    expect(edits.map(({ steps }) => steps)).toMatchObject([[{ scale: -0.25 }], [{ kind: "add", scale: -0.25 }]]);
  });

  it("stay outside of DoRA's formula and beside replaced rows", async () => {
    const module = lora("x", 4, 3, { magnitude: tensor("m", [4]) });
    const tokenRows = [{ name: "e", indices: [1], rows: tensor("r", [1, 3]) }];
    const { edits } = await resolve(
      { modules: [module], tokenRows },
      model({ "x.weight": [4, 3], "e.weight": [5, 3] }),
      { weight: 0.5 },
    );
    expect(edits.map(({ steps }) => steps)).toMatchObject([
      [{ kind: "magnitude", weight: 0.5, inner: [{ scale: 0.5 }] }],
      [{ kind: "replace-rows", weight: 0.5 }],
    ]);
  });
});

describe("whole tensors", () => {
  it("lets a lora_bias add to a bias that the adapter replaces", async () => {
    const module = lora("x", 4, 3, { bias: tensor("b", [4]) });
    const overrides = [{ name: "x.bias", value: tensor("x.base_layer.bias", [4]) }];
    const resolved = await resolve({ modules: [module], overrides }, model({ "x.weight": [4, 3], "x.bias": [4] }));
    expect(resolved.problems).toEqual([]);
    expect(touched(resolved)).toEqual(["x.bias", "x.weight", "x.bias"]);
  });

  it("take the bias of BERT's head by either of its two names, once, without a config, too", async () => {
    const value = tensor("b", [6]);
    const names = ["cls.predictions.bias", "cls.predictions.decoder.bias"];
    const overrides = names.map((name) => ({ name, value: { ...value, name } }));
    const ends = { "bert.embeddings.word_embeddings.weight": [6, 4], "cls.predictions.decoder.weight": [6, 4] };
    const base = (bias: string) => model({ ...ends, [bias]: [6] });
    for (const bias of names) expect(touched(await resolve({ overrides }, base(bias)))).toEqual([bias]);
    const [first] = overrides;
    const differing = [...(first === undefined ? [] : [first]), { name: names[1] ?? "", value: tensor("c", [6]) }];
    const { problems } = await resolve({ overrides: differing }, base(names[0] ?? ""));
    expect(problems.join()).toMatch(/"cls.predictions.decoder.bias": replaces "cls.predictions.bias", which/);
  });

  it("adds the head of a classifier and says so", async () => {
    const overrides = [{ name: "score.weight", value: tensor("score.weight", [2, 4]) }];
    const resolved = await resolve({ overrides }, model({ "model.norm.weight": [4] }));
    expect(resolved.edits).toMatchObject([{ tensor: "score.weight", view: [2, 4], bothEnds: false }]);
    expect(resolved.warnings).toEqual([
      '"score.weight": the base has no such tensor, it is added; config.json stays as it is',
    ]);
  });

  it.each([
    ["score.weight", [3, 4], [5, 4]],
    ["classifier.bias", [3], [2]],
    ["classifier.out_proj.weight", [3, 4], [2, 4]],
  ])("replaces %s by one of other labels and says so", async (name, before, after) => {
    const overrides = [{ name, value: tensor("v", after) }];
    const { edits, problems, warnings } = await resolve({ overrides }, model({ [name]: before }));
    expect(problems).toEqual([]);
    expect(edits).toMatchObject([{ tensor: name, replacement: { shape: after } }]);
    const [labels, old] = [after[0], before[0]];
    expect(warnings).toEqual([expect.stringContaining(`the adapter has ${labels} labels, the base ${old}`)]);
  });

  it("resizes the bias of the output end with its weight", async () => {
    const names = { "model.embed_tokens.weight": [10, 4], "lm_head.weight": [10, 4], "lm_head.bias": [10] };
    const overrides = Object.entries(names).map(([name, [, ...rest]]) => ({
      name,
      value: tensor(name, [12, ...rest]),
    }));
    const { edits, problems } = await resolve({ overrides }, model(names, { model_type: "llama" }));
    expect(problems).toEqual([]);
    expect(edits.map(({ view }) => view)).toEqual([
      [12, 4],
      [12, 4],
      [1, 12],
    ]);
  });

  it("does not replace a weight by a saved copy of itself", async () => {
    const base = model({ "lm_head.weight": [10, 4] });
    const stored = base.store.tensors.get("lm_head.weight") as TensorData;
    const copy = { ...stored, name: "lm_head.base_layer.weight" };
    for (const weight of [1, 0.5]) {
      const { edits, problems } = await resolve({ modules: [lora("lm_head", 10, 4, { baseWeight: copy })] }, base, {
        weight,
      });
      expect(problems).toEqual([]);
      expect(edits[0]?.replacement).toBeUndefined();
    }
  });

  it("replaces rows that only the resized embedding of the same adapter has", async () => {
    const overrides = [{ name: "model.embed_tokens.weight", value: tensor("e", [12, 4]) }];
    const tokenRows = [{ name: "model.embed_tokens", indices: [11], rows: tensor("r", [1, 4]) }];
    const base = model({ "model.embed_tokens.weight": [10, 4], "lm_head.weight": [10, 4] }, { model_type: "llama" });
    const { edits, problems } = await resolve({ overrides, tokenRows }, base);
    expect(problems).toEqual([]);
    expect(edits.map(({ view }) => view)).toEqual([
      [12, 4],
      [12, 4],
    ]);
  });
});
