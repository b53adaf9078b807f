/** ‖v‖ of a vector, summed in double precision. */

export function norm(values: Float32Array | Float64Array): number {
  let sum = 0;
  for (let index = 0; index < values.length; index++) {
    const value = values[index] as number;
    sum += value * value;
  }
  return Math.sqrt(sum);
}
