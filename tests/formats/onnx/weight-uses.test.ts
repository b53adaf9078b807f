import { describe, expect, test } from "vitest";
import { findWeightUses } from "../../../src/formats/onnx/weight-uses.ts";
import {
  type Bytes,
  floats,
  graphAttribute,
  graphBytes,
  intAttribute,
  intsAttribute,
  type ModelParts,
  modelBytes,
  nodeBytes,
  tensorAttribute,
  tensorBytes,
  valueBytes,
} from "./build.ts";
import { openBytes } from "./open.ts";

const w = (name = "w") => tensorBytes({ name, dims: [1, 2], raw: floats(1, 2) });

function usesOf(parts: ModelParts) {
  const uses = findWeightUses(openBytes(modelBytes({ tensors: [w()], ...parts })));
  return Object.fromEntries(
    [...uses].map(([key, list]) => [
      key,
      list.map(({ node, input, axes, through, isQuantized }) => [
        node.opType,
        input,
        axes,
        through.map(({ opType }) => opType).join(),
        isQuantized,
      ]),
    ]),
  );
}

describe("findWeightUses", () => {
  test.each<[string, Bytes, string]>([
    ["the right side of MatMul", nodeBytes("MatMul", ["x", "w"], ["y"]), "in-out"],
    ["the left side of MatMul", nodeBytes("MatMul", ["w", "x"], ["y"]), "out-in"],
    ["Gemm", nodeBytes("Gemm", ["x", "w"], ["y"]), "in-out"],
    ["Gemm with transB", nodeBytes("Gemm", ["x", "w"], ["y"], intAttribute("transB", 1)), "out-in"],
    ["Gemm with transB 0", nodeBytes("Gemm", ["x", "w"], ["y"], intAttribute("transB", 0)), "in-out"],
    ["the left side of Gemm with transA", nodeBytes("Gemm", ["w", "x"], ["y"], intAttribute("transA", 1)), "in-out"],
    ["the bias of Gemm", nodeBytes("Gemm", ["x", "x", "w"], ["y"]), "unknown"],
    ["Gather", nodeBytes("Gather", ["w", "x"], ["y"]), "rows"],
    ["Gather of axis 1", nodeBytes("Gather", ["w", "x"], ["y"], intAttribute("axis", 1)), "unknown"],
    ["Conv", nodeBytes("Conv", ["x", "w"], ["y"]), "conv"],
    ["any other operator", nodeBytes("MatMulNBits", ["x", "w"], ["y"]), "unknown"],
  ])("tells the axes of a weight in %s", (_, node, axes) => {
    expect(usesOf({ nodes: [node] })["w"]).toEqual([[expect.any(String), expect.any(Number), axes, "", false]]);
  });

  test("follows a weight through Transpose, Cast and Identity", () => {
    const nodes = [
      nodeBytes("Transpose", ["w"], ["t"], intsAttribute("perm", 1, 0)),
      nodeBytes("Cast", ["t"], ["c"]),
      nodeBytes("MatMul", ["x", "c"], ["y"]),
      nodeBytes("Transpose", ["t"], ["tt"]),
      nodeBytes("Identity", ["tt"], ["i"]),
      nodeBytes("MatMul", ["x", "i"], ["z"]),
      nodeBytes("Transpose", ["w"], ["same"], intsAttribute("perm", 0, 1)),
      nodeBytes("Gemm", ["x", "same"], ["q"]),
    ];
    expect(usesOf({ nodes })["w"]).toEqual([
      ["MatMul", 1, "out-in", "Transpose,Cast", false],
      ["MatMul", 1, "in-out", "Transpose,Transpose,Identity", false],
      ["Gemm", 1, "in-out", "Transpose", false],
    ]);
  });

  test("names each use of a shared weight, and marks a quantised one", () => {
    const nodes = [
      nodeBytes("Gather", ["w", "ids"], ["e"]),
      nodeBytes("DequantizeLinear", ["w", "s"], ["d"]),
      nodeBytes("MatMul", ["x", "d"], ["y"]),
    ];
    expect(usesOf({ nodes, tensors: [w(), w("s")] })["w"]).toEqual([
      ["Gather", 0, "rows", "", false],
      ["MatMul", 1, "in-out", "DequantizeLinear", true],
    ]);
  });

  test("finds weights that are Constant nodes", () => {
    const nodes = [
      nodeBytes("Constant", [], ["c"], tensorAttribute("value", w(""))),
      nodeBytes("MatMul", ["x", "c"], ["y"]),
    ];
    expect(usesOf({ nodes })).toEqual({ c: [["MatMul", 1, "in-out", "", false]] });
  });

  test("takes the nearest definition of a name", () => {
    const shadowing = graphBytes({ tensors: [w()], nodes: [nodeBytes("MatMul", ["x", "w"], ["z"])] });
    const capturing = graphBytes({ nodes: [nodeBytes("Gemm", ["x", "w"], ["z"])] });
    const hiding = graphBytes({ inputs: [valueBytes("w")], nodes: [nodeBytes("Gemm", ["x", "w"], ["z"])] });
    const nodes = [shadowing, capturing, hiding].map((graph, index) =>
      nodeBytes("Loop", ["c"], [`y${index}`], graphAttribute("body", graph)),
    );
    expect(usesOf({ nodes })).toEqual({
      w: [["Gemm", 1, "in-out", "", false]],
      "Loop#0.body/w": [["MatMul", 1, "in-out", "", false]],
    });
  });
});
