/**
 * What the tensors of one module are called by kohya's sd-scripts and by LyCORIS, and which of them make up an algorithm.
 */

import { PRODUCT_FACTORS } from "../product-factors.ts";

/** Ends of tensor names, after the module and a dot. */
export const FACTORS = [
  "lora_down.weight",
  "lora_up.weight",
  "lora_mid.weight",
  "lora_up.bias",
  "alpha",
  "dora_scale",
  ...PRODUCT_FACTORS,
  "diff",
  "diff_b",
  "w_norm",
  "b_norm",
  "weight",
  "on_input",
  "oft_blocks",
  "rescale",
] as const;
export type LycorisFactor = (typeof FACTORS)[number];

/** Tensors of algorithms that are refused, by how their names go on after the module. */
export const REFUSED: ReadonlyMap<string, string> = new Map([
  ["oft_diag", "OFT of early LyCORIS is not read"],
  ["a1.weight", "GLoRA multiplies the weights by a matrix, which is not read"],
  ["a2.weight", "GLoRA multiplies the weights by a matrix, which is not read"],
  ["b1.weight", "GLoRA multiplies the weights by a matrix, which is not read"],
  ["b2.weight", "GLoRA multiplies the weights by a matrix, which is not read"],
  ["bm.weight", "GLoRA multiplies the weights by a matrix, which is not read"],
  ["bias_indices", "sparse biases of early LoCon are not read"],
  ["bias_values", "sparse biases of early LoCon are not read"],
  ["bias_size", "sparse biases of early LoCon are not read"],
  ["scalar", "LyCORIS multiplies scalars into the factors before it saves; a loose one is from an unfinished run"],
]);
