/**
 * The tensors of modules and of stacked experts as mlx-lm names and turns them.
 */

import type { JsonObject } from "../../../core/json.ts";
import { elementCount } from "../../../core/shape.ts";
import type { AdapterModule } from "../../adapter.ts";
import { modelTypes } from "../../architecture/model-types.ts";
import { transpose } from "../../matrix.ts";
import { loraFactors, upBlocks } from "../../output/lora-factors.ts";
import { blockOf, copyOf, inF32, type OutputTensor, stacked } from "../../output/output-tensor.ts";
import type { ExpertStack } from "../stacked-experts.ts";

/** lora_a [in, rank], lora_b [rank, out] times the factor, and the magnitudes `m`. */
export function moduleTensors(module: AdapterModule, rank: number, factor: number): OutputTensor[] {
  const { name, magnitude } = module;
  const factors = loraFactors(module, "MLX");
  const { down, up, computed } = factors;
  const a = stacked(`${name}.lora_a`, [down.columns, rank], rank, [blockOf(transpose(down))]);
  // Block (i, j) of up stands at (j, i).
  const turned = upBlocks(factors, factor).map((block) =>
    blockOf(transpose(block.view), { factor: block.factor, rowStart: block.columnStart }),
  );
  const b = stacked(`${name}.lora_b`, [rank, up.rows], up.rows, turned);
  const m = magnitude && copyOf(magnitude, `${name}.m`, [elementCount(magnitude.shape) ?? 0]);
  return [computed ? inF32(a) : a, b, ...(m === undefined ? [] : [m])];
}

/** lora_a [E, rank, in], lora_b [E, out, rank] times the factor. */
export function stackTensors(
  stack: ExpertStack,
  rank: number,
  factor: number,
  config: JsonObject | undefined,
): OutputTensor[] {
  const { experts } = stack;
  const name = stackName(stack, config);
  const [inputs, outputs] = [experts[0]?.down.columns ?? 0, experts[0]?.up.rows ?? 0];
  const downBlocks = experts.map(({ down }, expert) => blockOf(down, { rowStart: expert * rank }));
  const upBlocksOfAll = experts.map(({ up }, expert) => blockOf(up, { factor, rowStart: expert * outputs }));
  return [
    stacked(`${name}.lora_a`, [experts.length, rank, inputs], inputs, downBlocks),
    stacked(`${name}.lora_b`, [experts.length, outputs, rank], rank, upBlocksOfAll),
  ];
}

/** Models whose block keeps the name in mlx-lm that transformers 5 changed. */
const SPARSE_BLOCK_TYPES = ["mixtral", "phimoe", "minimax"];

/** Path of the layer in mlx-lm's model. */
export function stackName({ path, layer }: ExpertStack, config: JsonObject | undefined): string {
  const types = modelTypes(config);
  const own = SPARSE_BLOCK_TYPES.some((type) => types.has(type)) ? path.replace(/\.mlp$/, ".block_sparse_moe") : path;
  return `${own}.switch_mlp.${layer}`;
}
