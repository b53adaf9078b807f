/** Where exported graphs project hidden rows to logits. */

import { join } from "node:path";
import { convert } from "lora-tool";
import { describe, expect, it } from "vitest";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import { toGraph } from "../../../src/formats/onnx/to-graph.ts";
import { findProjection } from "../../../src/train/base/onnx/projection.ts";
import { MODELS } from "../../models/logits-fixture.ts";
import { exportPath } from "../../support/onnx-train.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const operators = (path: string) => {
  const { chain, output } = findProjection(toGraph(openOnnx(path)));
  return [output, ...chain.map(({ opType }) => opType)];
};

async function converted(model: string): Promise<string> {
  const out = join(temporaryFolder(), "model.onnx");
  await convert({ input: join(MODELS, model), to: "onnx", out });
  return out;
}

describe("the projection", () => {
  it("of PyTorch's exports starts at the product by the head's weight", () => {
    expect(operators(exportPath("llama.dynamo"))).toEqual(["logits", "MatMul"]);
    expect(operators(exportPath("gemma2.torchscript"))).toEqual(["logits", "MatMul", "Div", "Tanh", "Mul"]);
  });

  it("of graphs that convert wrote does so in front of the shape of the logits, too", async () => {
    expect(operators(await converted("llama"))).toEqual(["logits", "Gemm"]);
    expect(operators(await converted("llama-bf16"))).toEqual(["logits", "Gemm"]);
    expect(operators(await converted("gemma2"))).toEqual(["logits", "Gemm", "Mul", "Tanh", "Mul"]);
  });
});
