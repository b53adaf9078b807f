/**
 * Rotations from skew-symmetric matrices: R = (I + Q)(I − Q)⁻¹ (Cayley), in double precision.
 */

/**
 * R of an n × n skew-symmetric Q, C order. (I + Q)(I − Q)⁻¹ = 2(I − Q)⁻¹ − I; the inverse by Gauss-Jordan elimination,
 * which needs no pivots here: xᵀ(I − Q)x = xᵀx, so no leading minor vanishes.
 */
export function cayley(skew: Float64Array, n: number): Float64Array {
  const left = skew.map((value) => -value);
  const inverse = new Float64Array(n * n);
  for (let row = 0; row < n; row++) {
    left[row * n + row] = 1;
    inverse[row * n + row] = 1;
  }
  for (let pivot = 0; pivot < n; pivot++) {
    const scale = 1 / (left[pivot * n + pivot] ?? 1);
    for (let column = 0; column < n; column++) {
      left[pivot * n + column] = scale * (left[pivot * n + column] ?? 0);
      inverse[pivot * n + column] = scale * (inverse[pivot * n + column] ?? 0);
    }
    for (let row = 0; row < n; row++) {
      const factor = left[row * n + pivot] ?? 0;
      if (row === pivot || factor === 0) continue;
      for (let column = 0; column < n; column++) {
        left[row * n + column] = (left[row * n + column] ?? 0) - factor * (left[pivot * n + column] ?? 0);
        inverse[row * n + column] = (inverse[row * n + column] ?? 0) - factor * (inverse[pivot * n + column] ?? 0);
      }
    }
  }
  return inverse.map((value, at) => 2 * value - (at % (n + 1) === 0 ? 1 : 0));
}
