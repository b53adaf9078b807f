import { describe, expect, it } from "vitest";
import type { Adapter } from "../../../src/adapters/adapter.ts";
import type { Model } from "../../../src/formats/model.ts";
import type { TensorData } from "../../../src/formats/tensor-store.ts";
import { errorOf } from "../../support/errors.ts";
import { adapter, experts, lora, model, resolve, tensor } from "./build.ts";

const LLAMA = { model_type: "llama" };
const llama = () =>
  model(
    {
      "model.embed_tokens.weight": [10, 4],
      "model.layers.0.self_attn.q_proj.weight": [4, 4],
      "model.layers.0.mlp.up_proj.weight": [6, 4],
      "model.layers.1.mlp.up_proj.weight": [6, 4],
      "model.norm.weight": [4],
      "lm_head.weight": [10, 4],
    },
    LLAMA,
  );
const moe = () =>
  model({ "m.experts.gate_up_proj": [3, 8, 4], "m.experts.down_proj": [3, 4, 4] }, { model_type: "mixtral" });
const Q = "model.layers.0.self_attn.q_proj";
const override = (name: string, shape: readonly number[]) => ({ name, value: tensor(name, shape) });
/** A tensor of a file that is not there: its numbers cannot be read. */
const claimed = (name: string, shape: readonly number[]): TensorData => ({
  ...tensor(name, [0]),
  shape,
  source: { kind: "file", path: "absent", offset: 0 },
});
const rows = (indices: readonly number[], shape: readonly number[]) => ({
  tokenRows: [{ name: "model.embed_tokens", indices, rows: tensor("rows", shape) }],
});

type Row = readonly [what: string, line: string, parts: Partial<Adapter>, base: () => Model, weight?: number];
/** Rows of one length: `it.each` loses optional ones. */
const whole = ([what, line, parts, base, weight = 1]: Row) => [what, line, parts, base, weight] as const;

const PROBLEMS: readonly Row[] = [
  [
    "outputs that do not fit",
    `"${Q}": shapes do not fit: the adapter is for 7 outputs and 4 inputs, expected 4 and 4 of "${Q}.weight" [4, 4]`,
    { modules: [lora(Q, 7, 4)] },
    llama,
  ],
  ["inputs that do not fit", "expected 6 and 4", { modules: [lora("model.layers.0.mlp.up_proj", 6, 5)] }, llama],
  [
    "factors the wrong way round",
    "is for 4 outputs and 6 inputs, expected 6 and 4",
    { modules: [lora("model.layers.0.mlp.up_proj", 4, 6)] },
    llama,
  ],
  [
    "a name that fits several tensors",
    '"mlp.up_proj": fits 2 tensors of the base, expected 1: "a.mlp.up_proj.weight", "b.mlp.up_proj.weight"',
    { modules: [lora("mlp.up_proj", 6, 4)] },
    () => model({ "a.mlp.up_proj.weight": [6, 4], "b.mlp.up_proj.weight": [6, 4] }),
  ],
  [
    "a magnitude of another length",
    `"${Q}": expected 4 magnitudes, got [5]`,
    { modules: [lora(Q, 4, 4, { magnitude: tensor("m", [5]) })] },
    llama,
  ],
  [
    "a lora_bias on a layer without bias",
    `"${Q}": has a bias (lora_bias), and the layer has no bias to add to: expected "${Q}.bias" in the base`,
    { modules: [lora(Q, 4, 4, { bias: tensor("b", [4]) })] },
    llama,
  ],
  [
    "a lora_bias of another length",
    "expected 4 elements of lora_B.bias, got [3]",
    { modules: [lora(Q, 4, 4, { bias: tensor("b", [3]) })] },
    llama,
  ],
  [
    "a convolution with groups",
    '"conv": a convolution with groups (2) has no merged weight, PEFT refuses it too',
    {
      modules: [
        {
          ...lora("conv", 8, 1),
          kind: "conv",
          delta: { kind: "lora", down: tensor("a", [2, 8, 3]), up: tensor("b", [8, 2, 1]) },
        },
      ],
    },
    () => model({ "conv.weight": [8, 4, 3] }),
  ],
  [
    "a kernel of another shape with as many elements",
    '"conv": shapes do not fit',
    {
      modules: [
        {
          ...lora("conv", 8, 1),
          kind: "conv",
          delta: { kind: "lora", down: tensor("a", [2, 4, 2, 3]), up: tensor("b", [8, 2, 1, 1]) },
        },
      ],
    },
    () => model({ "conv.weight": [8, 4, 3, 2] }),
  ],
  [
    "experts of another number",
    '"m.experts": expected factors for 3 experts of rank 2, got [4, 4] and [8, 4]',
    { modules: [experts("m.experts", "gate_up_proj", [2, 8, 4])] },
    moe,
  ],
  [
    "experts of another size",
    "shapes do not fit: the factors are for 9 outputs and 4 inputs, expected 8 and 4 in either order",
    { modules: [experts("m.experts", "gate_up_proj", [3, 9, 4])] },
    moe,
  ],
  [
    "square experts of an unknown PEFT",
    "square experts fit the layouts of old and new PEFT alike",
    {
      modules: [
        experts("m.experts", "down_proj", [3, 4, 4], { expertLayout: { order: "rank-major", swapped: "by-shape" } }),
      ],
    },
    moe,
  ],
  [
    "an expert past the last",
    "the base has 3 experts, expected one with number 3",
    { modules: [lora("m.experts.3.up_proj", 4, 4)] },
    moe,
  ],
  [
    "experts of which a part is missing",
    "expert 1 of the base has 1 of 2 tensors (gate_proj, up_proj)",
    { modules: [experts("m.experts", "gate_up_proj", [2, 8, 4])] },
    () =>
      model({
        "m.experts.0.gate_proj.weight": [4, 4],
        "m.experts.0.up_proj.weight": [4, 4],
        "m.experts.1.up_proj.weight": [4, 4],
      }),
  ],
  [
    "experts of different sizes",
    "expert 1 of the base is [7, 4], expected [8, 4]",
    { modules: [experts("m.experts", "gate_up_proj", [2, 8, 4])] },
    () =>
      model({
        "m.experts.0.gate_proj.weight": [4, 4],
        "m.experts.0.up_proj.weight": [4, 4],
        "m.experts.1.gate_proj.weight": [4, 4],
        "m.experts.1.up_proj.weight": [3, 4],
      }),
  ],
  [
    "DoRA on one expert of a stack",
    "DoRA on a layer that the base stores in parts is not supported",
    { modules: [lora("m.experts.1.up_proj", 4, 4, { magnitude: tensor("m", [4]) })] },
    moe,
  ],
  [
    "PiSSA on one expert of a stack",
    "pissa on a layer that the base stores in parts is not supported",
    { modules: [lora("m.experts.1.up_proj", 4, 4, { residual: "pissa" })] },
    moe,
  ],
  [
    "PiSSA with DoRA at half weight",
    "pissa with DoRA can only be merged with weight 1, got 0.5",
    { modules: [lora(Q, 4, 4, { residual: "pissa", magnitude: tensor("m", [4]) })] },
    llama,
    0.5,
  ],
  [
    "a replaced tensor of another shape",
    '"model.norm.weight": shapes do not fit: expected [4] of "model.norm.weight", got [5]',
    { overrides: [override("model.norm.weight", [5])] },
    llama,
  ],
  [
    "more rows in a layer that is no embedding",
    '"model.layers.0.mlp.up_proj.weight": shapes do not fit',
    { overrides: [override("model.layers.0.mlp.up_proj.weight", [7, 4])] },
    llama,
  ],
  [
    "an embedding of another width",
    '"lm_head.weight": shapes do not fit',
    { overrides: [override("lm_head.weight", [10, 5])] },
    llama,
  ],
  [
    "a replaced tensor at half weight",
    'replaces the whole of "model.norm.weight", which only weight 1 can mean, got 0.5',
    { overrides: [override("model.norm.weight", [4])] },
    llama,
    0.5,
  ],
  [
    "a new tensor at half weight",
    "is a new tensor, which only weight 1 can mean, got 0.5",
    { overrides: [override("score.weight", [2, 4])] },
    llama,
    0.5,
  ],
  ["a negative token", '"model.embed_tokens": expected token indices from 0 to 9, got -1', rows([-1], [1, 4]), llama],
  ["a token past the last", "expected token indices from 0 to 9, got 10", rows([3, 10], [2, 4]), llama],
  [
    "rows that are not one for each token",
    'expected 2 rows of 4 for "model.embed_tokens.weight", got [1, 4]',
    rows([1, 2], [1, 4]),
    llama,
  ],
  ["rows of another width", "expected 1 rows of 4", rows([1], [1, 3]), llama],
  [
    "a delta on a tensor that is replaced",
    `"${Q}": changes "${Q}.weight", which "${Q}.weight" changes too`,
    { modules: [lora(Q, 4, 4)], overrides: [override(`${Q}.weight`, [4, 4])] },
    llama,
  ],
  [
    "two modules on one tensor",
    `"language_model.${Q}": changes "${Q}.weight", which "${Q}" changes too`,
    { modules: [lora(Q, 4, 4), lora(`language_model.${Q}`, 4, 4)] },
    llama,
  ],
  [
    "a square c_proj without config and siblings",
    '"h.0.c_proj": the base does not show whether the weight is [out, in] or [in, out]',
    { modules: [lora("h.0.c_proj", 4, 4)] },
    () => model({ "h.0.c_proj.weight": [4, 4] }),
  ],
  [
    "LoHa factors for another weight",
    '"x": expected factors for a weight of [4, 6], got [4, 5]',
    {
      modules: [
        {
          ...lora("x", 4, 5),
          delta: {
            kind: "loha",
            w1a: tensor("a", [4, 2]),
            w1b: tensor("b", [2, 5]),
            w2a: tensor("c", [4, 2]),
            w2b: tensor("d", [2, 5]),
          },
        },
      ],
    },
    () => model({ "x.weight": [4, 6] }),
  ],
  [
    "LoHa factors of two ranks",
    '"x": factors have ranks 2 and 3, expected equal ones',
    {
      modules: [
        {
          ...lora("x", 4, 6),
          delta: {
            kind: "loha",
            w1a: tensor("a", [4, 2]),
            w1b: tensor("b", [3, 6]),
            w2a: tensor("c", [4, 2]),
            w2b: tensor("d", [2, 6]),
          },
        },
      ],
    },
    () => model({ "x.weight": [4, 6] }),
  ],
  [
    "LoHa factors of rank 0",
    '"x": factors have rank 0, expected at least 1',
    {
      modules: [
        {
          ...lora("x", 4, 6),
          delta: {
            kind: "loha",
            w1a: tensor("a", [4, 0]),
            w1b: tensor("b", [0, 6]),
            w2a: tensor("c", [4, 0]),
            w2b: tensor("d", [0, 6]),
          },
        },
      ],
    },
    () => model({ "x.weight": [4, 6] }),
  ],
  [
    "a Tucker core of rank 0",
    '"x": factors have rank 0, expected at least 1',
    {
      modules: [
        {
          ...lora("x", 4, 6),
          delta: {
            kind: "loha",
            w1a: tensor("a", [0, 4]),
            w1b: tensor("b", [0, 6]),
            w2a: tensor("c", [0, 4]),
            w2b: tensor("d", [0, 6]),
            t1: tensor("t", [0, 0, 3, 3]),
            t2: tensor("u", [0, 0, 3, 3]),
          },
        },
      ],
    },
    () => model({ "x.weight": [4, 6, 3, 3] }),
  ],
  [
    "a Tucker core for another kernel",
    '"x": expected factors for a weight of [4, 54], got [4, 30]',
    {
      modules: [
        {
          ...lora("x", 4, 6),
          delta: {
            kind: "loha",
            w1a: tensor("a", [2, 4]),
            w1b: tensor("b", [2, 6]),
            w2a: tensor("c", [2, 4]),
            w2b: tensor("d", [2, 6]),
            t1: tensor("t", [2, 2, 1, 5]),
            t2: tensor("u", [2, 2, 3, 3]),
          },
        },
      ],
    },
    () => model({ "x.weight": [4, 6, 3, 3] }),
  ],
  [
    "a Tucker core with more rows than its factor",
    '"x": factors have ranks 2 and 3, expected equal ones',
    {
      modules: [
        {
          ...lora("x", 4, 6),
          delta: {
            kind: "loha",
            w1a: tensor("a", [2, 4]),
            w1b: tensor("b", [2, 6]),
            w2a: tensor("c", [2, 4]),
            w2b: tensor("d", [2, 6]),
            t1: tensor("t", [3, 2, 3, 3]),
            t2: tensor("u", [2, 2, 3, 3]),
          },
        },
      ],
    },
    () => model({ "x.weight": [4, 6, 3, 3] }),
  ],
  [
    "Tucker factors whose product could not be held in memory",
    "expected factors for a weight of [4, 54], got [4, 1000000000000]",
    {
      modules: [
        {
          ...lora("x", 4, 6),
          delta: {
            kind: "lokr",
            w1: [tensor("a", [1, 1])],
            w2: [tensor("b", [2, 4]), claimed("c", [2, 1e6])],
            t2: claimed("t", [2, 2, 1000, 1000]),
          },
        },
      ],
    },
    () => model({ "x.weight": [4, 6, 3, 3] }),
  ],
  [
    "LoKr factors of rank 0",
    '"x": factors have rank 0, expected at least 1',
    {
      modules: [
        {
          ...lora("x", 4, 6),
          delta: { kind: "lokr", w1: [tensor("a", [2, 2])], w2: [tensor("b", [2, 0]), tensor("c", [0, 3])] },
        },
      ],
    },
    () => model({ "x.weight": [4, 6] }),
  ],
  [
    "one part of an expert whose parts alternate",
    '"m.experts.0.up_proj": adapts a part of "m.experts.gate_up_proj", whose parts alternate column by column',
    { modules: [lora("m.experts.0.up_proj", 3, 4)] },
    () => model({ "m.experts.gate_up_proj": [2, 4, 6] }, { model_type: "gpt_oss" }),
  ],
  [
    "PiSSA of an embedding",
    "pissa is an initialisation of linear layers only",
    { modules: [lora("model.embed_tokens", 4, 10, { kind: "embedding", residual: "pissa" })] },
    llama,
  ],
  [
    "LoKr factors for another weight",
    '"x": expected factors for a weight of [4, 6], got [4, 4]',
    {
      modules: [{ ...lora("x", 4, 4), delta: { kind: "lokr", w1: [tensor("a", [2, 2])], w2: [tensor("b", [2, 2])] } }],
    },
    () => model({ "x.weight": [4, 6] }),
  ],
  [
    "an IA3 vector of another length",
    '"x": expected 4 factors, got 6',
    { modules: [{ ...lora("x", 4, 6), delta: { kind: "ia3", vector: tensor("v", [6, 1]), feedforward: false } }] },
    () => model({ "x.weight": [4, 6] }),
  ],
  [
    "IA3 of the inputs of a convolution with groups",
    '"x": IA3 of the inputs of a convolution with groups (4) is not supported',
    {
      modules: [{ ...lora("x", 12, 2), delta: { kind: "ia3", vector: tensor("v", [1, 8, 1, 1]), feedforward: true } }],
    },
    () => model({ "x.weight": [12, 2, 3, 3] }),
  ],
  [
    "IA3 on stacked experts",
    "ia3 on stacked experts is not supported",
    {
      modules: [
        {
          ...experts("m.experts", "down_proj", [3, 4, 4]),
          delta: { kind: "ia3", vector: tensor("v", [4, 1]), feedforward: false },
        },
      ],
    },
    moe,
  ],
  [
    "DoRA on stacked experts",
    "only plain LoRA of stacked experts is supported",
    { modules: [experts("m.experts", "down_proj", [3, 4, 4], { magnitude: tensor("m", [4]) })] },
    moe,
  ],
];

describe("misfits", () => {
  it.each(PROBLEMS.map(whole))("%s is a problem that names module and sizes", async (_, line, parts, base, weight) => {
    const { problems, unmatched } = await resolve(parts, base(), { weight });
    expect(unmatched).toEqual([]);
    expect(problems).toEqual([expect.stringContaining(line)]);
  });

  it.each([
    [
      "a module",
      { modules: [lora("model.layers.7.mlp.up_proj", 6, 4)] },
      '"model.layers.7.mlp.up_proj": the base has no such tensor',
    ],
    [
      "a whole tensor inside of a layer",
      { overrides: [override("model.layers.7.norm.weight", [4])] },
      '"model.layers.7.norm.weight": the base has no such tensor',
    ],
    [
      "token rows",
      { tokenRows: [{ name: "model.wte", indices: [0], rows: tensor("r", [1, 4]) }] },
      '"model.wte": the base has no such tensor',
    ],
    [
      "experts",
      { modules: [experts("model.layers.0.mlp.experts", "gate_up_proj", [3, 8, 4])] },
      '"model.layers.0.mlp.experts": the base has no such tensor',
    ],
  ] as const)("%s without a counterpart is unmatched, not a problem", async (_, parts, line) => {
    const { problems, unmatched, used } = await resolve(parts, llama());
    expect({ problems, unmatched, used: [...used] }).toEqual({ problems: [], unmatched: [line], used: [] });
  });

  it("names all misfits of an adapter at once", async () => {
    const modules = [lora(Q, 7, 4), lora("model.layers.0.mlp.up_proj", 6, 4), lora("model.layers.9.x", 4, 4)];
    const { problems, unmatched, edits } = await resolve({ modules }, llama());
    expect([problems.length, unmatched.length, edits.length]).toEqual([1, 1, 1]);
  });

  it("names tensors of the adapter that nothing uses", async () => {
    const given = adapter({ modules: [lora(Q, 4, 4)] });
    const tensors = new Map([...given.tensors, ["stray\u001b.weight", tensor("stray\u001b.weight", [1])]]);
    const { problems } = await resolve({ modules: given.modules, tensors }, llama());
    expect(problems).toEqual(['"stray\\u{1b}.weight": no module or parameter uses it']);
  });
});

describe("targets without arithmetic", () => {
  it.each([
    ["GPTQ and AWQ", ["x.qweight", "x.qzeros", "x.scales"]],
    ["compressed-tensors", ["x.weight_packed", "x.weight_scale"]],
    ["bitsandbytes 4 bit", ["x.weight", "x.weight.absmax", "x.weight.quant_map"]],
    ["bitsandbytes 8 bit", ["x.weight", "x.SCB"]],
    ["FP8 with block scales", ["x.weight", "x.weight_scale_inv"]],
  ])("refuses a base in %s by name", async (_, names) => {
    const base = model(
      names.map((name) => tensor(name, [4, 4])),
      LLAMA,
    );
    const error = await errorOf(() => resolve({ modules: [lora("x", 4, 4)] }, base));
    expect([error.code, error.subject]).toEqual(["QUANTIZED_BASE", "x.weight"]);
  });

  it("refuses MXFP4 experts by name", async () => {
    const base = model([
      tensor("m.experts.down_proj_blocks", [3, 4, 4], "u8"),
      tensor("m.experts.down_proj_scales", [3, 4], "u8"),
    ]);
    const error = await errorOf(() => resolve({ modules: [experts("m.experts", "down_proj", [3, 4, 4])] }, base));
    expect([error.code, error.subject]).toEqual(["QUANTIZED_BASE", "m.experts.down_proj"]);
  });

  it("takes plain f8 weights and layers beside quantised ones", async () => {
    const base = model([tensor("x.weight", [4, 4], "f8_e4m3fn"), tensor("y.qweight", [4, 4], "i32")], LLAMA);
    expect((await resolve({ modules: [lora("x", 4, 4)] }, base)).problems).toEqual([]);
  });

  it.each([
    { quantization_config: { quant_method: "fp8" } },
    { text_config: { quantization_config: { quant_method: "fp8" } } },
  ])("refuses f8 weights of a quantised base that have no scale beside them: %j", async (config) => {
    for (const dtype of ["f8_e4m3fn", "f8_e5m2"] as const) {
      const base = model([tensor("x.weight", [4, 4], dtype)], { ...LLAMA, ...config });
      const error = await errorOf(() => resolve({ modules: [lora("x", 4, 4)] }, base));
      expect([error.code, error.subject]).toEqual(["QUANTIZED_BASE", "x.weight"]);
    }
    const unquantised = model({ "x.weight": [4, 4] }, { ...LLAMA, ...config });
    expect((await resolve({ modules: [lora("x", 4, 4)] }, unquantised)).problems).toEqual([]);
  });

  it("refuses integer weights by name, as quantised where the config says so", async () => {
    const tensors = [tensor("x.weight", [4, 4], "i8")];
    const plain = await errorOf(() => resolve({ modules: [lora("x", 4, 4)] }, model(tensors, LLAMA)));
    expect([plain.code, plain.subject]).toEqual(["UNSUPPORTED_DTYPE", "x.weight"]);
    const config = { ...LLAMA, quantization_config: { quant_method: "x" } };
    expect((await errorOf(() => resolve({ modules: [lora("x", 4, 4)] }, model(tensors, config)))).code).toBe(
      "QUANTIZED_BASE",
    );
  });
});
