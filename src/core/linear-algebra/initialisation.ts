/**
 * What initialisations of LoRA take out of the base weight, as factors, recomputed in f64 from the weight [out, in].
 *
 * PEFT 0.21.2 (`lora/layer.py` pissa_init, olora_init) decomposes in f32 and rounds what is left to the weight's dtype;
 * only the product matters to a merge, so the signs and order of vectors are free.
 */

import { type LowRankFactors, leadingQr } from "./householder-qr.ts";
import { leadingRowSpace } from "./leading-subspace.ts";
import { multiply, multiplyTransposed, transpose } from "./products.ts";

/**
 * PiSSA (arXiv 2404.02948): the best approximation of the rank, U_r S_r V_rᵀ of the singular value decomposition. The
 * scale of the adapter cancels.
 */
export function pissaFactors(weights: Float64Array, outputs: number, inputs: number, rank: number): LowRankFactors {
  const count = Math.min(rank, outputs, inputs);
  // W·V·Vᵀ needs the vectors of one side only; those of the shorter one are cheaper.
  if (inputs <= outputs) {
    const right = leadingRowSpace(weights, outputs, inputs, count);
    return padded(multiplyTransposed(weights, outputs, inputs, right, count), right, outputs, inputs, count, rank);
  }
  const turned = transpose(weights, outputs, inputs);
  const vectors = leadingRowSpace(turned, inputs, outputs, count);
  const right = multiply(vectors, count, outputs, weights, inputs);
  return padded(transpose(vectors, count, outputs), right, outputs, inputs, count, rank);
}

/** OLoRA (arXiv 2406.01775): Q[:, :rank] and R[:rank, :] of W = QR; PEFT subtracts scale · Q · R. */
export function oloraFactors(weights: Float64Array, outputs: number, inputs: number, rank: number): LowRankFactors {
  return leadingQr(weights, outputs, inputs, rank);
}

/** A rank above the size of the matrix adds zeros. */
function padded(
  left: Float64Array,
  right: Float64Array,
  outputs: number,
  inputs: number,
  count: number,
  rank: number,
): LowRankFactors {
  if (count === rank) return { left, right };
  const wideLeft = new Float64Array(outputs * rank);
  for (let row = 0; row < outputs; row++) wideLeft.set(left.subarray(row * count, (row + 1) * count), row * rank);
  const tallRight = new Float64Array(rank * inputs);
  tallRight.set(right);
  return { left: wideLeft, right: tallRight };
}
