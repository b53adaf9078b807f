import { expect, test } from "vitest";
import { stackName } from "../../../../src/adapters/layouts/mlx/written-tensors.ts";

test.each([
  ["mixtral", "model.layers.0.block_sparse_moe.switch_mlp.up_proj"],
  ["phimoe", "model.layers.0.block_sparse_moe.switch_mlp.up_proj"],
  ["qwen3_moe", "model.layers.0.mlp.switch_mlp.up_proj"],
])("the experts of %s are %s in mlx-lm", (type, name) => {
  const stack = {
    kind: "experts",
    path: "model.layers.0.mlp",
    layer: "up_proj",
    rank: 1,
    scale: 1,
    experts: [],
  } as const;
  expect(stackName(stack, new Map([["model_type", type]]))).toBe(name);
});
