import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Adapter } from "../../../../src/adapters/adapter.ts";
import { LoraToolError, type MismatchError } from "../../../../src/core/errors.ts";
import { errorOf } from "../../../support/errors.ts";
import { loraSettings, pair, readAdapter, type Shapes, tensor } from "./build.ts";

const PREFIX = "base_model.model.";

describe("names of tensors", () => {
  test.each<[string, Shapes, string]>([
    ["PEFT's", pair("model.q_proj"), "model.q_proj"],
    [
      "raw, with the adapter's name",
      { "base_model.model.a.lora_A.default.weight": [4, 8], "base_model.model.a.lora_B.default.weight": [6, 4] },
      "a",
    ],
    ["without the prefix", { "a.q.lora_A.weight": [4, 8], "a.q.lora_B.weight": [6, 4] }, "a.q"],
    [
      "of FSDP",
      { "base_model.model._fsdp_wrapped_module.a.lora_A.weight": [4, 8], "base_model.model.a.lora_B.weight": [6, 4] },
      "a",
    ],
    [
      "of FSDP and activation checkpointing around all",
      {
        "_fsdp_wrapped_module.base_model.model._checkpoint_wrapped_module.a.lora_A.default.weight": [4, 8],
        "base_model.model.a.lora_B.weight": [6, 4],
      },
      "a",
    ],
    [
      "of DeepSpeed around all",
      { "module.module.base_model.model.a.lora_A.weight": [4, 8], "base_model.model.a.lora_B.weight": [6, 4] },
      "a",
    ],
    [
      "of torch.compile",
      { "base_model.model._orig_mod.a.lora_A.weight": [4, 8], "base_model.model._orig_mod.a.lora_B.weight": [6, 4] },
      "a",
    ],
    [
      "named __proto__",
      { "base_model.model.__proto__.lora_A.weight": [4, 8], "base_model.model.__proto__.lora_B.weight": [6, 4] },
      "__proto__",
    ],
  ])("%s lead to the module", (_, shapes, name) => {
    const { modules } = readAdapter(loraSettings(), shapes);
    expect(modules.map((module) => module.name)).toEqual([name]);
    expect(modules[0]).toMatchObject({ kind: "linear", rank: 4, alpha: 8, scale: 2, delta: { kind: "lora" } });
  });

  test.each<[string, Shapes, string]>([
    [
      "a second factor of the same meaning",
      { ...pair("a"), "base_model.model.a.lora_A.default.weight": [4, 8] },
      "means the same as",
    ],
    [
      "a second parameter of the same meaning",
      {
        ...pair("a"),
        "base_model.model.score.weight": [2, 8],
        "base_model.model.score.modules_to_save.default.weight": [2, 8],
      },
      "means the same as",
    ],
    [
      "two adapters",
      {
        "a.lora_A.one.weight": [4, 8],
        "a.lora_B.one.weight": [6, 4],
        "b.lora_A.two.weight": [4, 8],
        "b.lora_B.two.weight": [6, 4],
      },
      'expected one, got "one", "two"',
    ],
    [
      "kohya's names",
      { "lora_unet_q.lora_down.weight": [4, 8], "lora_unet_q.lora_up.weight": [6, 4] },
      "is not the name of a tensor of a PEFT adapter",
    ],
    [
      "a bias of lora_A",
      { ...pair("a"), "base_model.model.a.lora_A.bias": [4] },
      "is not the name of a tensor of a PEFT adapter",
    ],
    [
      "a factor of another type",
      { ...pair("a"), "base_model.model.a.hada_w1_a": [4, 8] },
      "does not belong to an adapter of this type",
    ],
    [
      "a name of 2,000 characters",
      { ...pair("a"), [`base_model.model.${"x.".repeat(1_000)}lora_A.weight`]: [4, 8] },
      "is not the name of a tensor of a PEFT adapter",
    ],
    ["a weight and factors for it", { ...pair("a"), "base_model.model.a.weight": [6, 8] }, "which has factors too"],
    [
      "a nested pair without target_parameters",
      {
        ...pair("a"),
        "base_model.model.a.base_layer.lora_A.weight": [4, 8],
        "base_model.model.a.base_layer.lora_B.weight": [6, 4],
      },
      "one, for its weight",
    ],
  ])("refuses %s", async (_, shapes, problem) => {
    const error = await errorOf(() => readAdapter(loraSettings(), shapes));
    expect(error.code).toBe("ADAPTER_MISMATCH");
    expect(error.message).toContain(problem);
    expect(error.message).toContain("adapter/adapter_model.safetensors");
  });

  test("names all misfits at once", async () => {
    const shapes = { ...pair("a", 3), "b.lora_A.weight": [4, 8], "c.lora_mystery": [1] };
    const error = await errorOf(() => readAdapter(loraSettings(), shapes));
    expect((error as MismatchError).problems.map((line) => line.split(":")[0])).toEqual([
      '"c.lora_mystery"',
      '"a"',
      '"b"',
    ]);
  });

  test("refuses a file without tensors", async () => {
    expect((await errorOf(() => readAdapter(loraSettings(), {}))).code).toBe("INVALID_MODEL");
  });
});

describe("halves that are missing", () => {
  test.each<[string, Record<string, unknown>, Shapes, string]>([
    ["lora_B", {}, { "a.lora_A.weight": [4, 8] }, "lora_B missing, the file has lora_A"],
    ["lora_A", {}, { "a.lora_B.weight": [6, 4] }, "lora_A missing, the file has lora_B"],
    ["lora_embedding_B", {}, { "a.lora_embedding_A": [4, 20] }, "lora_embedding_B missing"],
    ["the magnitude", { use_dora: true }, pair("a"), "lora_magnitude_vector missing"],
    ["lora_B.bias", { lora_bias: true }, pair("a"), "lora_B.bias missing"],
    [
      "hada_w2_b",
      { peft_type: "LOHA", alpha: 8 },
      { "a.hada_w1_a": [6, 4], "a.hada_w1_b": [4, 8], "a.hada_w2_a": [6, 4] },
      "hada_w2_b missing",
    ],
    [
      "hada_t2",
      { peft_type: "LOHA", alpha: 8 },
      {
        "a.hada_w1_a": [4, 6],
        "a.hada_w1_b": [4, 8],
        "a.hada_w2_a": [4, 6],
        "a.hada_w2_b": [4, 8],
        "a.hada_t1": [4, 4, 3, 3],
      },
      "hada_t2 missing",
    ],
    ["lokr_w2", { peft_type: "LOKR", alpha: 8 }, { "a.lokr_w1": [2, 2] }, "lokr_w2 missing"],
    ["lokr_w1_b", { peft_type: "LOKR", alpha: 8 }, { "a.lokr_w1_a": [2, 4], "a.lokr_w2": [2, 2] }, "lokr_w1_b missing"],
    ["lora_E", { peft_type: "ADALORA", init_r: 4 }, { "a.lora_A": [4, 8], "a.lora_B": [6, 4] }, "lora_E missing"],
    [
      "the indices of token rows",
      {},
      { ...pair("a"), "e.token_adapter.trainable_tokens_delta": [2, 8] },
      "which tokens",
    ],
    [
      "the second expert parameter",
      { target_parameters: ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"] },
      pair("mlp.experts", 8),
      "expected as many pairs",
    ],
  ])("%s is named with its module", async (_, settings, shapes, problem) => {
    const error = await errorOf(() => readAdapter(loraSettings(settings), shapes));
    expect(error.code).toBe("ADAPTER_INCOMPLETE");
    expect(error.message).toContain(problem);
  });
});

describe("ranks", () => {
  test("follow the patterns, by the name of the module", () => {
    const settings = loraSettings({ rank_pattern: { "1.q_proj": 2 }, alpha_pattern: { q_proj: 3 }, use_rslora: true });
    const { modules, method } = readAdapter(settings, { ...pair("model.1.q_proj", 2), ...pair("model.11.q_proj") });
    expect(modules.map(({ rank, alpha, scale }) => [rank, alpha, scale])).toEqual([
      [2, 3, 3 / Math.sqrt(2)],
      [4, 3, 1.5],
    ]);
    expect(method).toBe("rsLoRA");
  });

  test.each<[string, Record<string, unknown>, Shapes]>([
    ["lora_A has another rank than the settings", {}, pair("m", 8)],
    ["a pattern says another rank", { rank_pattern: { m: 2 } }, pair("m")],
    ["lora_A and lora_B differ", {}, { "m.lora_A.weight": [4, 8], "m.lora_B.weight": [6, 3] }],
    ["embedding factors differ", {}, { "m.lora_embedding_A": [4, 20], "m.lora_embedding_B": [8, 2] }],
    [
      "LoHa factors have another rank",
      { peft_type: "LOHA", alpha: 8 },
      { "m.hada_w1_a": [6, 3], "m.hada_w1_b": [3, 8], "m.hada_w2_a": [6, 3], "m.hada_w2_b": [3, 8] },
    ],
    [
      "LoKr factors have another rank",
      { peft_type: "LOKR", alpha: 8 },
      { "m.lokr_w1": [2, 2], "m.lokr_w2_a": [3, 2], "m.lokr_w2_b": [2, 4] },
    ],
    [
      "AdaLoRA kept other ranks",
      { peft_type: "ADALORA", init_r: 4, rank_pattern: { "m.lora_E": [true, false, true, true] } },
      { "m.lora_A": [4, 8], "m.lora_B": [6, 4], "m.lora_E": [4, 1] },
    ],
    ["the rows of experts are no multiple", { target_parameters: ["m.gate_up_proj"] }, pair("m", 10)],
  ])("are refused where %s", async (_, settings, shapes) => {
    const error = await errorOf(() => readAdapter(loraSettings(settings), shapes));
    expect(error.code).toBe("RANK_MISMATCH");
    expect(error.message).toContain('"m"');
    expect(error.message).toMatch(/expected rank \d+ as in adapter_config.json, got \d+/);
  });
});

describe("shapes", () => {
  test.each<[string, Shapes]>([
    ["a flat lora_A", { "m.lora_A.weight": [32], "m.lora_B.weight": [6, 4] }],
    ["an empty lora_B", { "m.lora_A.weight": [4, 8], "m.lora_B.weight": [0, 4] }],
    ["an empty lora_A", { "m.lora_A.weight": [0], "m.lora_B.weight": [0] }],
  ])("of %s are taken for parts of a sharded model", async (_, shapes) => {
    const error = await errorOf(() => readAdapter(loraSettings(), shapes));
    expect(error.code).toBe("ADAPTER_MISMATCH");
    expect(error.hint).toContain("ZeRO-3 or FSDP");
  });

  test.each<[string, Record<string, unknown>, Shapes]>([
    ["a magnitude of another length", { use_dora: true }, { ...pair("m"), [`${PREFIX}m.lora_magnitude_vector`]: [5] }],
    ["a magnitude that the settings deny", {}, { ...pair("m"), [`${PREFIX}m.lora_magnitude_vector`]: [6] }],
    ["a bias of another length", { lora_bias: true }, { ...pair("m"), [`${PREFIX}m.lora_B.bias`]: [5] }],
    ["kernels on both sides", {}, { "m.lora_A.weight": [4, 8, 3, 3], "m.lora_B.weight": [6, 4, 3, 3] }],
    ["a kernel on one side", {}, { "m.lora_A.weight": [4, 8, 3, 3], "m.lora_B.weight": [6, 4] }],
    ["six dimensions", {}, { "m.lora_A.weight": [4, 8, 1, 1, 1, 1], "m.lora_B.weight": [6, 4, 1, 1, 1, 1] }],
    ["three dimensions of an embedding", {}, { "m.lora_embedding_A": [4, 20, 1], "m.lora_embedding_B": [8, 4] }],
    ["an IA3 vector along the other side", { peft_type: "IA3", feedforward_modules: ["m"] }, { "m.ia3_l": [8, 1] }],
    ["an IA3 vector that is none", { peft_type: "IA3" }, { "m.ia3_l": [8] }],
    [
      "too few token rows",
      { trainable_token_indices: [3, 5] },
      { ...pair("m"), "e.token_adapter.trainable_tokens_delta": [3, 8] },
    ],
    ["blocks that do not divide the rows", { use_bdlora: { target_modules_bd_a: ["m"], nblocks: 3 } }, pair("m")],
  ])("refuses %s", async (_, settings, shapes) => {
    const error = await errorOf(() => readAdapter(loraSettings(settings), shapes));
    expect(error.code).toBe("ADAPTER_MISMATCH");
  });

  test("refuses a convolution with groups, as PEFT does", async () => {
    const shapes = { "m.lora_A.weight": [4, 8, 3, 3], "m.lora_B.weight": [6, 2, 1, 1] };
    const error = await errorOf(() => readAdapter(loraSettings(), shapes));
    expect(error.code).toBe("UNSUPPORTED_ADAPTER");
    expect(error.message).toContain("a convolution with groups (2)");
  });

  test.each(["i8", "u8", "bool", "i32"] as const)("refuses factors of %s", async (dtype) => {
    const tensors = [tensor("m.lora_A.weight", [4, 8], dtype), tensor("m.lora_B.weight", [6, 4])];
    const error = await errorOf(() => readAdapter(loraSettings(), tensors));
    expect(error.code).toBe("UNSUPPORTED_DTYPE");
    expect(error.message).toContain('"m.lora_A.weight"');
  });
});

describe("what else the file holds", () => {
  test("is a replacement of a parameter, or the weight that the delta goes onto", () => {
    const adapter = readAdapter(loraSettings({ target_modules: ["q_proj", "embed_tokens"] }), {
      ...pair("model.q_proj"),
      [`${PREFIX}model.q_proj.base_layer.bias`]: [6],
      [`${PREFIX}model.k_proj.bias`]: [6],
      [`${PREFIX}model.embed_tokens.lora_embedding_A`]: [4, 20],
      [`${PREFIX}model.embed_tokens.lora_embedding_B`]: [8, 4],
      [`${PREFIX}model.embed_tokens.base_layer.weight`]: [20, 8],
      [`${PREFIX}lm_head.base_layer.weight`]: [20, 8],
      [`${PREFIX}norm.modules_to_save.default.weight`]: [8],
      [`${PREFIX}norm.original_module.weight`]: [8],
      [`${PREFIX}logit_scale`]: [],
    });
    expect(adapter.overrides.map(({ name }) => name)).toEqual([
      "model.q_proj.bias",
      "model.k_proj.bias",
      "lm_head.weight",
      "norm.weight",
      "logit_scale",
    ]);
    expect(adapter.modules.map(({ kind, baseWeight }) => [kind, baseWeight?.shape])).toEqual([
      ["linear", undefined],
      ["embedding", [20, 8]],
    ]);
    expect(adapter.tensors.has(`${PREFIX}norm.original_module.weight`)).toBe(false);
    expect(adapter.tensors.size).toBe(10);
    expect(adapter.warnings.join()).toContain("left out, copies of the base");
  });

  test("may be of any dtype where it replaces", () => {
    const counter = tensor("bn.num_batches_tracked", [], "i64");
    const factors = Object.entries(pair("m")).map(([name, shape]) => tensor(name, shape));
    expect(readAdapter(loraSettings(), [...factors, counter]).overrides[0]?.value).toBe(counter);
  });

  test("are rows of tokens, for the modules that the settings name", () => {
    const shapes = {
      ...pair("q_proj"),
      "model.embed_tokens.token_adapter.trainable_tokens_delta": [2, 8],
      "lm_head.token_adapter.trainable_tokens_delta.default": [1, 8],
    };
    const indices = { embed_tokens: [7, 1], lm_head: [0] };
    const { tokenRows } = readAdapter(loraSettings({ trainable_token_indices: indices }), shapes);
    expect(tokenRows.map(({ name, indices }) => [name, indices])).toEqual([
      ["model.embed_tokens", [7, 1]],
      ["lm_head", [0]],
    ]);
  });

  test("is left out where only training used it", () => {
    const state = `${PREFIX}q_proj.lora_velora_embed`;
    const adapter = readAdapter(loraSettings({ velora_config: { scale: 1 } }), { ...pair("q_proj"), [state]: [2] });
    expect(adapter.tensors.has(state)).toBe(false);
    expect(adapter.warnings.join()).toContain("only training used them");
  });
});

describe("modules inside modules", () => {
  test("gives stacked experts their parameters, innermost first", () => {
    const settings = loraSettings({
      target_modules: ["q_proj"],
      target_parameters: ["experts.down_proj", "experts.gate_up_proj", "mlp.gate.weight"],
      rank_pattern: { "experts.down_proj": 2 },
      peft_version: "0.21.2",
    });
    const { modules } = readAdapter(settings, {
      ...pair("mlp.experts", 6),
      ...pair("mlp.experts.base_layer", 12),
      ...pair("mlp.gate"),
      ...pair("q_proj"),
    });
    expect(modules.map(({ name, parameter, kind, rank }) => [name, parameter, kind, rank])).toEqual([
      ["mlp.experts", "down_proj", "experts", 2],
      ["mlp.experts", "gate_up_proj", "experts", 4],
      ["mlp.gate", undefined, "linear", 4],
      ["q_proj", undefined, "linear", 4],
    ]);
    expect(modules[0]?.expertLayout).toEqual({ order: "rank-major", swapped: false });
  });

  test("gives a module with fewer pairs than there are bare names the parameters named with it", () => {
    // What PEFT 0.21.2 makes of target_modules gate, up_proj and down_proj on fused experts.
    const settings = loraSettings({
      target_modules: ["q_proj"],
      target_parameters: ["down_proj", "gate_up_proj", "gate.weight"],
    });
    const { modules } = readAdapter(settings, {
      ...pair("mlp.experts", 8),
      ...pair("mlp.experts.base_layer", 8),
      ...pair("mlp.gate"),
    });
    expect(modules.map(({ name, parameter, kind }) => [name, parameter, kind])).toEqual([
      ["mlp.experts", "down_proj", "experts"],
      ["mlp.experts", "gate_up_proj", "experts"],
      ["mlp.gate", undefined, "linear"],
    ]);
  });

  test.each([
    ["0.21.2", false],
    ["0.19.1", false],
    ["0.19.0", true],
    ["0.18.1", "unless-transposed"],
    ["0.20.1.dev0@abc", false],
    ["1.0.0", false],
    ["UNKNOWN", "by-shape"],
    [undefined, "by-shape"],
  ])("takes the sides of expert factors from PEFT %s as swapped %j", (version, swapped) => {
    const settings = loraSettings({ target_modules: null, target_parameters: ["experts.w1"], peft_version: version });
    expect(readAdapter(settings, pair("experts", 8)).modules[0]?.expertLayout?.swapped).toBe(swapped);
  });

  test("refuses parameters whose order in the module is not known", async () => {
    const settings = loraSettings({ target_modules: [], target_parameters: ["experts.alpha", "experts.beta"] });
    const error = await errorOf(() => readAdapter(settings, { ...pair("experts"), ...pair("experts.base_layer") }));
    expect(error.code).toBe("UNSUPPORTED_ADAPTER");
    expect(error.message).toContain('"alpha", "beta"');
  });

  test("reads an attention as its input and output projections, of one rank", () => {
    const settings = loraSettings({ target_modules: ["attn"], rank_pattern: { "x.attn": 2 } });
    const { modules, warnings } = readAdapter(settings, {
      ...pair("x.attn", 2),
      ...pair("x.attn.base_layer.out_proj", 2),
      [`${PREFIX}x.attn.base_layer.in_proj_bias`]: [6],
      [`${PREFIX}x.attn.base_layer.out_proj.base_layer.bias`]: [6],
    });
    expect(modules.map(({ name, parameter, rank }) => [name, parameter, rank])).toEqual([
      ["x.attn", "in_proj_weight", 2],
      ["x.attn.out_proj", undefined, 2],
    ]);
    expect(warnings).toEqual([]);
  });
});

describe("other types", () => {
  test("reads AdaLoRA with the ranks that are left and the scale of the start", () => {
    const settings = loraSettings({
      peft_type: "ADALORA",
      init_r: 4,
      rank_pattern: { "a.lora_E": [true, false, false, true], "b.lora_E.default": [false, false, false, false] },
    });
    const adapter = readAdapter(settings, {
      [`${PREFIX}a.lora_A`]: [2, 8],
      [`${PREFIX}a.lora_B`]: [6, 2],
      [`${PREFIX}a.lora_E`]: [2, 1],
      [`${PREFIX}b.lora_A`]: [0, 8],
      [`${PREFIX}b.lora_B`]: [6, 0],
      [`${PREFIX}b.lora_E`]: [0, 1],
    });
    expect(adapter.modules).toMatchObject([
      { name: "a", rank: 2, scale: 8 / 4.00001, delta: { diagonal: { shape: [2, 1] } } },
    ]);
    expect(adapter.tensors.size).toBe(3);
    expect(adapter.method).toBe("AdaLoRA");
  });

  test("takes AdaLoRA's ranknum from the file", () => {
    const number = {
      ...tensor("a.ranknum.default", [1]),
      source: { kind: "memory" as const, bytes: new Uint8Array(Float32Array.of(5).buffer) },
    };
    const factors = [
      tensor("a.lora_A.default", [4, 8]),
      tensor("a.lora_B.default", [6, 4]),
      tensor("a.lora_E.default", [4, 1]),
      number,
    ];
    const adapter = readAdapter(loraSettings({ peft_type: "ADALORA", init_r: 4 }), factors);
    expect(adapter.modules[0]?.scale).toBe(8 / 5.00001);
    expect(adapter.tensors.has("a.ranknum.default")).toBe(false);
  });

  test("reads LoKr in all its forms, always with alpha / rank", () => {
    const { modules } = readAdapter(loraSettings({ peft_type: "LOKR", alpha: 2 }), {
      "a.lokr_w1": [2, 2],
      "a.lokr_w2": [3, 4],
      "b.lokr_w1_a": [2, 4],
      "b.lokr_w1_b": [4, 2],
      "b.lokr_w2_a": [3, 4],
      "b.lokr_w2_b": [4, 4],
      "c.lokr_w1": [2, 2],
      "c.lokr_w2_a": [4, 3],
      "c.lokr_w2_b": [4, 4],
      "c.lokr_t2": [4, 4, 3, 3],
    });
    expect(
      modules.map(({ kind, scale, delta }) => [
        kind,
        scale,
        delta.kind === "lokr" && [delta.w1.length, delta.w2.length],
      ]),
    ).toEqual([
      ["linear", 0.5, [1, 1]],
      ["linear", 0.5, [2, 2]],
      ["conv", 0.5, [1, 2]],
    ]);
  });

  test.each([
    [["proj"], { "k_proj.ia3_l": [1, 8] }, true],
    [["mlp"], { "k_proj.ia3_l": [8, 1] }, false],
    [".*mlp.*", { "mlp.0.ia3_l": [1, 8] }, true],
    [undefined, { "k.ia3_l": [8, 1] }, false],
  ])("reads IA3 with feedforward_modules %j", (feedforward_modules, shapes, feedforward) => {
    const { modules } = readAdapter({ peft_type: "IA3", feedforward_modules }, shapes);
    expect(modules).toMatchObject([{ rank: 0, scale: 1, delta: { kind: "ia3", feedforward } }]);
  });

  test("writes out the blocks of BD-LoRA", () => {
    const blocks = tensor("o.lora_A.weight", [4, 2]);
    const bytes = new Uint8Array(Float32Array.from([1, 2, 3, 4, 5, 6, 7, 8]).buffer);
    const settings = loraSettings({ use_bdlora: { target_modules_bd_a: ["o"], target_modules_bd_b: [], nblocks: 2 } });
    const stored = { ...blocks, source: { kind: "memory" as const, bytes } };
    const { delta } = readAdapter(settings, [stored, tensor("o.lora_B.weight", [6, 4])]).modules[0] ?? {};
    const down = delta?.kind === "lora" ? delta.down : undefined;
    expect(down?.shape).toEqual([4, 4]);
    const written = down?.source.kind === "memory" ? new Float32Array(down.source.bytes.buffer) : [];
    expect([...written]).toEqual([1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 5, 6, 0, 0, 7, 8]);
  });
});

describe("any file", () => {
  const segment = fc.constantFrom(
    ..."base_model.model.layers.0.q_proj.k_proj.base_layer.modules_to_save.default.original_module.token_adapter".split(
      ".",
    ),
    ..."lora_A.lora_B.lora_embedding_A.lora_embedding_B.lora_magnitude_vector.lora_E.ranknum.ia3_l.hada_w1_a.lokr_w1".split(
      ".",
    ),
    ...["trainable_tokens_delta", "lora_velora_embed", "out_proj", "weight", "bias", "", "__proto__"],
  );
  const name = fc.array(segment, { minLength: 1, maxLength: 6 }).map((segments) => segments.join("."));
  const shape = fc.array(fc.constantFrom(0, 1, 2, 4, 8), { maxLength: 4 });
  const settings = fc.record(
    {
      use_dora: fc.boolean(),
      lora_bias: fc.boolean(),
      target_parameters: fc.constantFrom(["q_proj.gate_up_proj", "q_proj.down_proj"], ["weight"]),
      trainable_token_indices: fc.constantFrom([0, 1], { q_proj: [1] }),
      rank_pattern: fc.constantFrom({ q_proj: 2 }, { ".*": 1 }),
      init_lora_weights: fc.constantFrom("pissa", "olora", "gaussian"),
      init_r: fc.constantFrom(2, 4),
      alpha: fc.constant(4),
    },
    { requiredKeys: [] },
  );
  const type = fc.constantFrom("LORA", "ADALORA", "LOHA", "LOKR", "IA3", "TRAINABLE_TOKENS", "LN_TUNING");

  test("is read with each tensor in one place, or refused with a typed error", () => {
    fc.assert(
      fc.property(type, settings, fc.dictionary(name, shape, { maxKeys: 8 }), (peft_type, more, shapes) => {
        let adapter: Adapter;
        try {
          adapter = readAdapter(loraSettings({ peft_type, ...more }), shapes);
        } catch (error) {
          expect(error).toBeInstanceOf(LoraToolError);
          return;
        }
        const places = [
          ...adapter.modules.flatMap(({ delta, magnitude, bias, baseWeight }) => [
            ...Object.values(delta).flat(),
            magnitude,
            bias,
            baseWeight,
          ]),
          ...adapter.overrides.map(({ value }) => value),
          ...adapter.tokenRows.map(({ rows }) => rows),
        ].flatMap((part) => (typeof part === "object" ? [part.name] : []));
        expect(places.toSorted()).toEqual([...adapter.tensors.keys()].toSorted());
      }),
      { seed: 11, numRuns: 3_000 },
    );
  });
});

describe("warnings", () => {
  test.each<[string, Record<string, unknown>, Shapes, RegExp]>([
    ["an alpha of 0", { lora_alpha: 0 }, pair("q_proj"), /alpha is 0 for "q_proj"/],
    [
      "an alpha that stayed while the rank grew",
      { r: 256, lora_alpha: 16 },
      pair("q_proj", 256),
      /alpha \/ rank = 16 \/ 256 = 0\.0625 .* alpha \/ √rank = 1$/,
    ],
    [
      "a gaussian start under rslora",
      { init_lora_weights: "gaussian", use_rslora: true },
      pair("q_proj"),
      /deviation 1 \/ rank = 1 \/ 4/,
    ],
    [
      "modules that the settings do not name",
      {},
      { ...pair("q_proj"), ...pair("k_proj") },
      /do not name "k_proj": PEFT would ignore/,
    ],
    [
      "layers that the settings leave out",
      { layers_to_transform: [0] },
      { ...pair("m.l.0.q_proj"), ...pair("m.l.1.q_proj") },
      /do not name "m\.l\.1\.q_proj"/,
    ],
    [
      "targets without tensors",
      { target_modules: ["q_proj", "v_proj"] },
      pair("q_proj"),
      /names "v_proj", for which the file has no tensors/,
    ],
    ["patterns that hit nothing", { rank_pattern: { proj: 4 } }, pair("q_proj"), /rank_pattern: "proj" hit no module/],
    [
      "alphas that depend on the order of keys",
      { alpha_pattern: { q_proj: 8, ".*proj": 1 } },
      pair("q_proj"),
      /alpha_pattern: keys with different values hit "q_proj"/,
    ],
    ["a bias that PEFT would ignore", {}, { ...pair("q_proj"), "q_proj.lora_B.bias": [6] }, /lora_bias is false/],
    [
      "Python classes",
      { auto_mapping: { base_model_class: "X" } },
      pair("q_proj"),
      /auto_mapping .* nothing is imported/,
    ],
    ["a Python module", { megatron_core: "os" }, pair("q_proj"), /megatron_core .* nothing is imported/],
    ["a base that is a URL", { base_model_name_or_path: "https://x/y" }, pair("q_proj"), /not opened or fetched/],
    ["a base that leads upwards", { base_model_name_or_path: "../../etc" }, pair("q_proj"), /not opened or fetched/],
    ["a base on a share", { base_model_name_or_path: "\\\\host\\x" }, pair("q_proj"), /not opened or fetched/],
  ])("tell of %s", (_, settings, shapes, line) => {
    const { warnings } = readAdapter(loraSettings(settings), shapes);
    expect(
      warnings.some((warning) => line.test(warning)),
      warnings.join("\n"),
    ).toBe(true);
    expect(warnings).toHaveLength(1);
  });

  test("are silent on an ordinary adapter", () => {
    const settings = loraSettings({ base_model_name_or_path: "org/model", megatron_core: "megatron.core" });
    expect(readAdapter(settings, pair("model.layers.0.q_proj")).warnings).toEqual([]);
  });
});
