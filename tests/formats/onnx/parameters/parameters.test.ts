/** Names of parameters in graphs, with the spellings of the tools that write them. */

import { describe, expect, test } from "vitest";
import { findParameters } from "../../../../src/formats/onnx/parameters/parameters.ts";
import {
  type Bytes,
  concat,
  floats,
  intAttribute,
  intsAttribute,
  modelBytes,
  nodeBytes,
  sub,
  tensorBytes,
} from "../build.ts";
import { openBytes } from "../open.ts";

type Row = readonly [constant: string, shape: readonly number[], node: Bytes];

function weight(name: string, dims: readonly number[] = [2, 2]): Bytes {
  return tensorBytes({ name, dims, raw: floats(...new Array(dims.reduce((a, b) => a * b, 1)).fill(1)) });
}

function node(
  name: string,
  opType: string,
  inputs: readonly string[],
  output: string,
  ...attributes: readonly Bytes[]
) {
  return concat(nodeBytes(opType, inputs, [output], ...attributes), sub(3, name));
}

/** A node of PyTorch's newer exporter. */
function traced(scopes: readonly string[], call: string, opType: string, inputs: readonly string[], output: string) {
  const listed = `[${scopes.map((scope) => `'${scope}'`).join(", ")}]`;
  const entry = (key: string, value: string) => sub(9, sub(1, `pkg.torch.onnx.${key}`), sub(2, value));
  return concat(nodeBytes(opType, inputs, [output]), entry("name_scopes", listed), entry("fx_node", call));
}

/** `constant → name axes`, with `?` for constants that no name was found for. */
function namesOf(tensors: readonly Bytes[], nodes: readonly Bytes[]): string[] {
  const { byName } = findParameters(openBytes(modelBytes({ tensors, nodes })));
  return [...byName.values()].map(
    ({ name, constant, axes, isNamed }) => `${constant.key} → ${isNamed ? name : "?"} ${axes}`,
  );
}

describe("findParameters", () => {
  test.each<[string, Row, string]>([
    [
      "TorchScript, from the name of the node",
      [
        "onnx::MatMul_15",
        [2, 3],
        node("/model/layers.0/self_attn/q_proj/MatMul", "MatMul", ["x", "onnx::MatMul_15"], "y"),
      ],
      "model.layers.0.self_attn.q_proj.weight in-out",
    ],
    [
      "a child of a Sequential, which repeats its parent's name",
      ["0.weight", [3, 2], node("/body/body.0/Gemm", "Gemm", ["x", "0.weight"], "y", intAttribute("transB", 1))],
      "body.0.weight out-in",
    ],
    [
      "a product that ONNX Runtime's optimiser joined with its sum",
      ["onnx::MatMul_9", [2, 3], node("/fc1/MatMul/MatMulAddFusion", "Gemm", ["x", "onnx::MatMul_9"], "y")],
      "fc1.weight in-out",
    ],
    [
      "a product that its scale went into",
      ["w_1", [2, 3], node("/fc1/MatMul/MatMulScaleFusion/", "FusedMatMul", ["x", "w_1"], "y")],
      "fc1.weight in-out",
    ],
    [
      "a parameter that keeps its name",
      ["fc.weight", [3, 2], node("Gemm_12", "Gemm", ["x", "fc.weight"], "y", intAttribute("transB", 1))],
      "fc.weight out-in",
    ],
    [
      "a functional call in the parent of the layer",
      ["attn.q.weight", [3, 2], node("/attn/MatMul", "MatMul", ["x", "attn.q.weight"], "y")],
      "attn.q.weight in-out",
    ],
    [
      "the newer exporter, from the scopes of the node",
      [
        "val_3",
        [2, 3],
        traced(
          ["", "model", "model.mlp", "model.mlp.up_proj", "linear_5"],
          "%linear_5 : call_function[target=torch.ops.aten.linear.default](args = (%x, %p_model_mlp_up_proj_weight))",
          "MatMul",
          ["x", "val_3"],
          "y",
        ),
      ],
      "model.mlp.up_proj.weight in-out",
    ],
    [
      "a parameter of another name, from the arguments of the call",
      [
        "val_3",
        [2, 3],
        traced(
          ["", "attn", "linear"],
          "%linear : call_function[target=torch.ops.aten.linear.default](args = (%x, %p_attn_in_proj_weight, %p_attn_in_proj_bias))",
          "MatMul",
          ["x", "val_3"],
          "y",
        ),
      ],
      "attn.in_proj_weight in-out",
    ],
    [
      "ONNX Runtime GenAI's builder",
      [
        "model.layers.0.attn.q_proj.MatMul.weight",
        [2, 3],
        node("/model/layers.0/attn/q_proj/MatMul", "MatMul", ["x", "model.layers.0.attn.q_proj.MatMul.weight"], "y"),
      ],
      "model.layers.0.self_attn.q_proj.weight in-out",
    ],
    [
      "a base layer inside of PEFT's wrappers",
      [
        "onnx::MatMul_7",
        [2, 3],
        node("/base_model/model/h.0/q_proj/base_layer/MatMul", "MatMul", ["x", "onnx::MatMul_7"], "y"),
      ],
      "h.0.q_proj.weight in-out",
    ],
    [
      "a node without a path",
      ["onnx::MatMul_15", [2, 3], node("MatMul_3", "MatMul", ["x", "onnx::MatMul_15"], "y")],
      "? in-out",
    ],
    [
      "what an operator that may compute anything reads",
      ["onnx::Mul_4", [2], node("/norm/Mul", "Mul", ["x", "onnx::Mul_4"], "y")],
      "? unknown",
    ],
  ])("names %s", (_, [constant, shape, user], expected) => {
    expect(namesOf([weight(constant, shape)], [user])).toEqual([`${constant} → ${expected}`]);
  });

  test("takes the module of a bias for the weight whose product it is added to", () => {
    const tensors = [
      weight("val_1", [2, 3]),
      weight("a.fc.bias", [3]),
      weight("val_2", [3, 2]),
      weight("b.fc.bias", [2]),
    ];
    const nodes = [
      node("node_linear", "MatMul", ["x", "val_1"], "u"),
      node("node_add", "Add", ["a.fc.bias", "u"], "v"),
      node("Gemm_3", "Gemm", ["v", "val_2", "b.fc.bias"], "y"),
    ];
    expect(namesOf(tensors, nodes)).toEqual([
      "val_1 → a.fc.weight in-out",
      "a.fc.bias → a.fc.bias unknown",
      "val_2 → b.fc.weight in-out",
      "b.fc.bias → b.fc.bias unknown",
    ]);
  });

  test("takes no module of a bias of another length, of two biases, or of no product", () => {
    const tensors = [
      weight("val_1", [2, 3]),
      weight("a.fc.bias", [1]),
      weight("val_2", [3, 2]),
      weight("b.fc.bias", [2]),
    ];
    const nodes = [
      node("n0", "MatMul", ["x", "val_1"], "u"),
      node("n1", "Add", ["u", "a.fc.bias"], "v"),
      node("n2", "Gemm", ["v", "val_2", "b.fc.bias"], "w"),
      node("n3", "Add", ["w", "b.fc.bias"], "y"),
      node("n4", "Mul", ["y", "b.fc.bias"], "z"),
    ];
    expect(namesOf(tensors, nodes).slice(0, 3)).toEqual([
      "val_1 → ? in-out",
      "a.fc.bias → a.fc.bias unknown",
      "val_2 → ? in-out",
    ]);
  });

  test("takes the builder's names for those of transformers where its hand shows", () => {
    const names = [
      "lm_head.MatMul.weight",
      "model.layers.1.attn.o_proj.Add.bias",
      "model.layers.2.final_norm_layernorm.weight",
    ];
    const nodes = [
      node("/lm_head/MatMul", "MatMul", ["x", names[0] ?? ""], "a"),
      node("/model/layers.1/attn/o_proj/Add", "Add", ["x", names[1] ?? ""], "b"),
      node(
        "/model/layers.2/final_norm_layernorm/SkipLayerNorm",
        "SkipSimplifiedLayerNormalization",
        ["x", "x", names[2] ?? ""],
        "c",
      ),
    ];
    const tensors = [weight(names[0] ?? ""), weight(names[1] ?? "", [2]), weight(names[2] ?? "", [2])];
    expect(namesOf(tensors, nodes)).toEqual([
      `${names[0]} → lm_head.weight in-out`,
      `${names[1]} → model.layers.1.self_attn.o_proj.bias unknown`,
      `${names[2]} → model.norm.weight unknown`,
    ]);
  });

  test("gives each layer that shares a constant its own name", () => {
    const nodes = [
      node("/model/embed_tokens/Gather", "Gather", ["model.embed_tokens.weight", "ids"], "a"),
      node("/lm_head/Transpose", "Transpose", ["model.embed_tokens.weight"], "t", intsAttribute("perm", 1, 0)),
      node("/lm_head/MatMul", "MatMul", ["a", "t"], "y"),
    ];
    expect(namesOf([weight("model.embed_tokens.weight")], nodes)).toEqual([
      "model.embed_tokens.weight → model.embed_tokens.weight rows",
      "model.embed_tokens.weight → lm_head.weight out-in",
    ]);
  });

  test("sees an embedding that reads the columns of the head's weight", () => {
    const nodes = [
      node("/model/embed_tokens/Transpose", "Transpose", ["lm_head.MatMul.weight"], "t", intsAttribute("perm", 1, 0)),
      node("/model/embed_tokens/Gather", "Gather", ["t", "ids"], "a"),
      node("/lm_head/MatMul", "MatMul", ["a", "lm_head.MatMul.weight"], "y"),
    ];
    expect(namesOf([weight("lm_head.MatMul.weight")], nodes)).toEqual([
      "lm_head.MatMul.weight → model.embed_tokens.weight columns",
      "lm_head.MatMul.weight → lm_head.weight in-out",
    ]);
  });

  test("follows the names that Identity nodes give to equal constants", () => {
    const nodes = [
      nodeBytes("Identity", ["a.norm.weight"], ["b.norm.weight"]),
      node("/a/norm/Mul", "Mul", ["x", "a.norm.weight"], "y"),
      node("/b/norm/Mul", "Mul", ["y", "b.norm.weight"], "z"),
    ];
    expect(namesOf([weight("a.norm.weight", [2])], nodes)).toEqual([
      "a.norm.weight → a.norm.weight unknown",
      "a.norm.weight → b.norm.weight unknown",
    ]);
  });

  test("never guesses between two constants for one path", () => {
    const nodes = ["1", "2"].map((k) => node(`/q_proj/MatMul_${k}`, "MatMul", ["x", `onnx::MatMul_${k}`], `y${k}`));
    expect(namesOf([weight("onnx::MatMul_1"), weight("onnx::MatMul_2")], nodes)).toEqual([
      "onnx::MatMul_1 → ? in-out",
      "onnx::MatMul_2 → ? in-out",
    ]);
  });

  test("keeps apart a constant whose key is another one's path", () => {
    const nodes = [
      traced(["", "wte", "embedding"], "%embedding : (%p_lm_head_weight)", "Gather", ["lm_head.weight", "ids"], "a"),
      traced(["", "lm_head", "linear"], "%linear : (%a, %p_lm_head_weight)", "MatMul", ["a", "val_9"], "y"),
    ];
    expect(namesOf([weight("lm_head.weight"), weight("val_9")], nodes)).toEqual([
      "lm_head.weight → wte.weight rows",
      "val_9 → lm_head.weight in-out",
    ]);
  });

  test.each<[string, Bytes, "isFolded" | "isQuantized"]>([
    [
      "a convolution that lost its name: a batch norm was multiplied into it",
      node("/c/Conv", "Conv", ["x", "w"], "y"),
      "isFolded",
    ],
    [
      "a product that says it comes from a batch norm",
      traced(
        ["", "bn", "bn"],
        "%bn : call_function[target=torch.ops.aten._native_batch_norm_legit_no_training.default]()",
        "Gemm",
        ["x", "w"],
        "y",
      ),
      "isFolded",
    ],
    ["a product with the result of a batch norm", node("node_Gemm_18", "Gemm", ["x", "w"], "getitem_3"), "isFolded"],
    ["codes of MatMulNBits", node("/q_proj/MatMul_Q4", "MatMulNBits", ["x", "w"], "y"), "isQuantized"],
    ["codes of MatMulInteger", node("/q_proj/MatMul_quant", "MatMulInteger", ["x", "w"], "y"), "isQuantized"],
  ])("flags %s", (_, user, flag) => {
    const { byName } = findParameters(openBytes(modelBytes({ tensors: [weight("w", [1, 1, 1, 1])], nodes: [user] })));
    expect([...byName.values()].map((parameter) => parameter[flag])).toEqual([true]);
  });

  test("flags a convolution whose bias a batch norm made, and no other", () => {
    const flagOf = (bias: string) => {
      const nodes = [node("node_Conv_9", "Conv", ["x", "c.weight", bias], "y")];
      const tensors = [weight("c.weight", [2, 2, 1, 1]), weight(bias, [2])];
      return findParameters(openBytes(modelBytes({ tensors, nodes }))).byName.get("c.weight")?.isFolded;
    };
    expect([flagOf("c.weight_bias"), flagOf("c.bias")]).toEqual([true, false]);
  });

  test("flags codes that DequantizeLinear reads, under the name of the layer", () => {
    const nodes = [
      node("/q/DequantizeLinear", "DequantizeLinear", ["codes", "scale"], "w"),
      node("/model/q_proj/MatMul", "MatMul", ["x", "w"], "y"),
    ];
    const { byName } = findParameters(
      openBytes(modelBytes({ tensors: [weight("codes"), weight("scale", [1])], nodes })),
    );
    expect(byName.get("model.q_proj.weight")?.isQuantized).toBe(true);
  });
});
