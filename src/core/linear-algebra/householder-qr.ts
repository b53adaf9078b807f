/**
 * The first columns of Q and the first rows of R of W = QR by Householder reflections in f64 (Golub and Van Loan, Matrix
 * Computations, 4th ed., algorithm 5.2.1), as LAPACK's geqrf forms them: only `rank` reflections are needed for those.
 */

export interface LowRankFactors {
  /** [rows, rank] */
  readonly left: Float64Array;
  /** [rank, columns] */
  readonly right: Float64Array;
}

/** Q[:, :rank] and R[:rank, :] of weights [rows, columns]; factors are padded with zeros past min(rows, columns). */
export function leadingQr(weights: Float64Array, rows: number, columns: number, rank: number): LowRankFactors {
  const work = weights.slice();
  const count = Math.min(rank, rows, columns);
  const reflectors: { readonly vector: Float64Array; readonly factor: number }[] = [];
  for (let step = 0; step < count; step++) {
    const reflector = reflectorOf(work, rows, columns, step);
    reflectors.push(reflector);
    reflect(work, rows, columns, step, reflector);
  }
  const right = new Float64Array(rank * columns);
  for (let row = 0; row < count; row++) {
    for (let column = row; column < columns; column++)
      right[row * columns + column] = work[row * columns + column] ?? 0;
  }
  const left = new Float64Array(rows * rank);
  for (let column = 0; column < count; column++) left[column * rank + column] = 1;
  for (let step = count - 1; step >= 0; step--) {
    const reflector = reflectors[step];
    if (reflector !== undefined) reflect(left, rows, rank, step, reflector);
  }
  return { left, right };
}

/** v and 2/vᵀv such that I − factor · v · vᵀ clears column `step` below its diagonal. */
function reflectorOf(work: Float64Array, rows: number, columns: number, step: number) {
  const vector = new Float64Array(rows);
  let square = 0;
  for (let row = step; row < rows; row++) {
    const value = work[row * columns + step] ?? 0;
    vector[row] = value;
    square += value * value;
  }
  const head = vector[step] ?? 0;
  const norm = Math.sqrt(square);
  // Away from cancellation: the sign of the diagonal of R does not matter to the product.
  const shifted = head < 0 ? head - norm : head + norm;
  vector[step] = shifted;
  const length = square - head * head + shifted * shifted;
  return { vector, factor: length === 0 ? 0 : 2 / length };
}

/** work −= factor · v · (vᵀ · work), row by row as the matrix lies in memory. */
function reflect(
  work: Float64Array,
  rows: number,
  columns: number,
  start: number,
  { vector, factor }: { readonly vector: Float64Array; readonly factor: number },
): void {
  if (factor === 0) return;
  const sums = new Float64Array(columns);
  for (let row = start; row < rows; row++) {
    const weight = vector[row] ?? 0;
    const offset = row * columns;
    for (let column = 0; column < columns; column++) {
      sums[column] = (sums[column] ?? 0) + weight * (work[offset + column] ?? 0);
    }
  }
  for (let row = start; row < rows; row++) {
    const weight = factor * (vector[row] ?? 0);
    const offset = row * columns;
    for (let column = 0; column < columns; column++) {
      work[offset + column] = (work[offset + column] ?? 0) - weight * (sums[column] ?? 0);
    }
  }
}
