/**
 * Factors of U·S·Vᵀ → those of PiSSA (arXiv 2404.02948): each direction's strength shared evenly between the two, and the
 * adapter's scale divided out, so that scale · up · down = U·S·Vᵀ.
 */

export interface ScaledFactors {
  /** [out, rank]; the columns are directions of any length. */
  readonly left: Float64Array;
  /** [rank, in] */
  readonly right: Float64Array;
  readonly outputs: number;
  readonly inputs: number;
  readonly rank: number;
  readonly scale: number;
}

/** down_i = √(σ_i/s)·v_i, up_i = u_i·√(σ_i/s), where σ_i = ‖left_i‖·‖right_i‖. */
export function balanceFactors({ left, right, outputs, inputs, rank, scale }: ScaledFactors): {
  readonly down: Float32Array;
  readonly up: Float32Array;
} {
  const down = new Float32Array(rank * inputs);
  const up = new Float32Array(outputs * rank);
  for (let index = 0; index < rank; index++) {
    let [leftSquare, rightSquare] = [0, 0];
    for (let row = 0; row < outputs; row++) leftSquare += (left[row * rank + index] ?? 0) ** 2;
    for (let column = 0; column < inputs; column++) rightSquare += (right[index * inputs + column] ?? 0) ** 2;
    const [leftNorm, rightNorm] = [Math.sqrt(leftSquare), Math.sqrt(rightSquare)];
    // Past the rank of the weight there is no direction.
    if (leftNorm === 0 || rightNorm === 0) continue;
    const share = Math.sqrt((leftNorm * rightNorm) / scale);
    for (let row = 0; row < outputs; row++)
      up[row * rank + index] = ((left[row * rank + index] ?? 0) * share) / leftNorm;
    for (let column = 0; column < inputs; column++) {
      down[index * inputs + column] = ((right[index * inputs + column] ?? 0) * share) / rightNorm;
    }
  }
  return { down, up };
}
