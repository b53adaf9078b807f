/**
 * Products of dense f64 matrices, row-major, with inner loops along memory. Blocks of four rows share each pass over the
 * large matrix, which is what bounds the speed.
 */

/** a [m, k] · b [k, n] → [m, n]; b is the large one. */
export function multiply(a: Float64Array, m: number, k: number, b: Float64Array, n: number): Float64Array {
  const out = new Float64Array(m * n);
  for (let row = 0; row < m; row += 4) {
    const rows = Math.min(4, m - row);
    const targets = Array.from({ length: 4 }, (_, index) =>
      out.subarray((row + (index % rows)) * n, (row + (index % rows) + 1) * n),
    );
    const [t0, t1, t2, t3] = targets as [Float64Array, Float64Array, Float64Array, Float64Array];
    for (let inner = 0; inner < k; inner++) {
      const source = b.subarray(inner * n, (inner + 1) * n);
      const a0 = a[row * k + inner] ?? 0;
      // Rows past the end repeat the first ones with a factor of zero.
      const a1 = rows > 1 ? (a[(row + 1) * k + inner] ?? 0) : 0;
      const a2 = rows > 2 ? (a[(row + 2) * k + inner] ?? 0) : 0;
      const a3 = rows > 3 ? (a[(row + 3) * k + inner] ?? 0) : 0;
      for (let column = 0; column < n; column++) {
        const value = source[column] ?? 0;
        t0[column] = (t0[column] ?? 0) + a0 * value;
        t1[column] = (t1[column] ?? 0) + a1 * value;
        t2[column] = (t2[column] ?? 0) + a2 * value;
        t3[column] = (t3[column] ?? 0) + a3 * value;
      }
    }
  }
  return out;
}

/** a [m, k] · bᵀ of b [n, k] → [m, n]; a is the large one. */
export function multiplyTransposed(a: Float64Array, m: number, k: number, b: Float64Array, n: number): Float64Array {
  const out = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    const source = a.subarray(row * k, (row + 1) * k);
    for (let column = 0; column < n; column += 4) {
      const [b0, b1, b2, b3] = [0, 1, 2, 3].map((index) => Math.min(column + index, n - 1) * k) as [
        number,
        number,
        number,
        number,
      ];
      let [s0, s1, s2, s3] = [0, 0, 0, 0];
      for (let inner = 0; inner < k; inner++) {
        const value = source[inner] ?? 0;
        s0 += value * (b[b0 + inner] ?? 0);
        s1 += value * (b[b1 + inner] ?? 0);
        s2 += value * (b[b2 + inner] ?? 0);
        s3 += value * (b[b3 + inner] ?? 0);
      }
      const at = row * n + column;
      out[at] = s0;
      if (column + 1 < n) out[at + 1] = s1;
      if (column + 2 < n) out[at + 2] = s2;
      if (column + 3 < n) out[at + 3] = s3;
    }
  }
  return out;
}

/** [rows, columns] → [columns, rows]. */
export function transpose(a: Float64Array, rows: number, columns: number): Float64Array {
  const out = new Float64Array(a.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * rows + row] = a[row * columns + column] ?? 0;
  }
  return out;
}

/** aᵀ · b, in four sums. */
export function dot(a: Float64Array, b: Float64Array): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let index = 0;
  for (; index + 3 < a.length; index += 4) {
    s0 += (a[index] ?? 0) * (b[index] ?? 0);
    s1 += (a[index + 1] ?? 0) * (b[index + 1] ?? 0);
    s2 += (a[index + 2] ?? 0) * (b[index + 2] ?? 0);
    s3 += (a[index + 3] ?? 0) * (b[index + 3] ?? 0);
  }
  for (; index < a.length; index++) s0 += (a[index] ?? 0) * (b[index] ?? 0);
  return s0 + s1 + (s2 + s3);
}

/** y += factor · x */
export function axpy(factor: number, x: Float64Array, y: Float64Array): void {
  for (let index = 0; index < x.length; index++) y[index] = (y[index] ?? 0) + factor * (x[index] ?? 0);
}

/** [size, size] */
export function identity(size: number): Float64Array {
  const out = new Float64Array(size * size);
  for (let index = 0; index < size; index++) out[index * size + index] = 1;
  return out;
}
