/** What inspect tells of an ONNX graph: which constant is which parameter, and how nodes read it. */

import { inspect } from "lora-tool";
import { expect, test } from "vitest";
import { unpackGraph } from "../support/onnx-merge.ts";
import { runCli } from "../support/process.js";

test("names, axes and constants of the weights", async () => {
  const report = await inspect({ path: unpackGraph("gpt2-lora", "dynamo", true) });
  if (report.kind !== "model") throw new Error("expected a model");
  expect(report).toMatchObject({
    format: "onnx",
    modelType: "gpt2",
    tied: true,
    graph: { opsets: { "ai.onnx": 20 }, branches: [] },
  });
  const head = report.graph?.parameters.find(({ name }) => name === "model.lm_head.weight");
  expect(head).toMatchObject({
    constant: expect.stringMatching(/^val_\d+$/),
    axes: "in-out",
    operators: ["MatMul"],
    isNamed: true,
  });
  const square = report.graph?.parameters.find(({ name }) => name === "model.transformer.h.0.attn.c_proj.weight");
  expect(square).toMatchObject({ axes: "in-out", operators: ["Gemm"], isQuantized: false, isFolded: false });
});

test("layers with branches beside them", async () => {
  const path = unpackGraph("conv2d", "unmerged-torchscript", false);
  const report = await inspect({ path });
  expect(report).toMatchObject({
    graph: { branches: ["conv_in.weight", "conv_mid.weight", "conv_point.weight", "head.weight"] },
  });
  const { code, stdout } = runCli(["inspect", path]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/LoRA beside 4 layers: merge --fold/);
  expect(stdout).toMatch(/1 +out-in +\[5, 6\] +Gemm +base_model\.model\.head\.base_layer\.weight +head\.weight/);
});
