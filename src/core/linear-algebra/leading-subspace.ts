/**
 * The right singular vectors of the largest singular values of a matrix, by block Krylov iteration with full
 * orthogonalisation and Rayleigh-Ritz on WᵀW (Golub and Van Loan, Matrix Computations, 4th ed., section 10.3.6), in f64.
 *
 * Exact up to rounding once the basis fills the space, as it does for small matrices; large ones stop when the residual
 * of every wanted vector is below 1e-10 of the largest eigenvalue. Deterministic: the start is drawn from a fixed seed.
 */

import { fillNormal, philoxKey } from "../random.ts";
import { axpy, dot, multiply, multiplyTransposed } from "./products.ts";
import { symmetricEigen } from "./symmetric-eigen.ts";

/** Vectors that join the basis at once: as many as the products work on together, and a guard for equal singular values. */
const BLOCK = 8;

const TOLERANCE = 1e-10;

/** How much larger the basis is at the next look at convergence, which costs its size cubed. */
const GROWTH = 1.25;

/** Orthonormal rows [count, columns] that span the leading right singular vectors of weights [rows, columns]. */
export function leadingRowSpace(weights: Float64Array, rows: number, columns: number, count: number): Float64Array {
  const basis = new Basis(columns);
  /** W · basisᵀ as rows [size, rows]: the projected WᵀW are their inner products. */
  const images: Float64Array[] = [];
  const gram: number[][] = [];
  let nextCheck = Math.min(columns, 2 * count + 8 * BLOCK);
  let candidates = basis.random(Math.min(BLOCK, columns));
  for (;;) {
    const added = basis.add(candidates);
    const newImages = multiplyTransposed(weights, rows, columns, flatten(added, columns), added.length);
    for (const index of added.keys()) {
      const image = Float64Array.from({ length: rows }, (_, row) => newImages[row * added.length + index] ?? 0);
      gram.push([...images, image].map((other) => dot(other, image)));
      images.push(image);
    }
    const block = flatten(images.slice(-added.length), rows);
    const next = multiply(block, added.length, rows, weights, columns);
    candidates = Array.from(added.keys(), (index) => next.slice(index * columns, (index + 1) * columns));
    const { size } = basis;
    if (size < Math.min(nextCheck, columns)) continue;
    nextCheck = Math.ceil(size * GROWTH);
    const ritz = ritzVectors(gram, size);
    const rest = basis.remainders(candidates);
    if (size >= columns || isConverged(ritz, rest, count, size)) return basis.combine(ritz.vectors, count);
  }
}

/** Orthonormal vectors of one length. */
class Basis {
  readonly #length: number;
  readonly #vectors: Float64Array[] = [];
  #drawn = 0;

  constructor(length: number) {
    this.#length = length;
  }

  get size(): number {
    return this.#vectors.length;
  }

  /** Vectors to start from or to go on with. */
  random(count: number): Float64Array[] {
    return Array.from({ length: count }, () => {
      const values = new Float32Array(this.#length);
      fillNormal(values, philoxKey(0, "leading-subspace"), this.#drawn++);
      return Float64Array.from(values);
    });
  }

  /** Orthonormalises the candidates and adds them; one that adds nothing new gives way to a random one. */
  add(candidates: readonly Float64Array[]): Float64Array[] {
    const added: Float64Array[] = [];
    for (const candidate of candidates) {
      if (this.size === this.#length) break;
      let vector = candidate;
      while (!this.#orthonormalise(vector)) [vector = candidate] = this.random(1);
      this.#vectors.push(vector);
      added.push(vector);
    }
    return added;
  }

  /** What is left of vectors outside of the basis. */
  remainders(vectors: readonly Float64Array[]): Float64Array[] {
    return vectors.map((vector) => {
      const rest = vector.slice();
      this.#project(rest);
      this.#project(rest);
      return rest;
    });
  }

  /** Rows [count, length]: the vectors combined by the first `count` of the coefficients. */
  combine(coefficients: readonly Float64Array[], count: number): Float64Array {
    const out = new Float64Array(count * this.#length);
    for (const [index, own] of coefficients.slice(0, count).entries()) {
      const target = out.subarray(index * this.#length, (index + 1) * this.#length);
      for (const [at, vector] of this.#vectors.entries()) axpy(own[at] ?? 0, vector, target);
    }
    return out;
  }

  /** In place; false when nothing is left of it. Twice is enough (Kahan, Parlett). */
  #orthonormalise(vector: Float64Array): boolean {
    const before = Math.sqrt(dot(vector, vector));
    this.#project(vector);
    const between = Math.sqrt(dot(vector, vector));
    if (!(between > 1e-12 * before)) return false;
    this.#project(vector);
    const norm = Math.sqrt(dot(vector, vector));
    if (!(norm > 0.5 * between)) return false;
    for (let index = 0; index < vector.length; index++) vector[index] = (vector[index] ?? 0) / norm;
    return true;
  }

  #project(vector: Float64Array): void {
    for (const own of this.#vectors) axpy(-dot(own, vector), own, vector);
  }
}

interface Ritz {
  /** Descending. */
  readonly values: readonly number[];
  /** In the order of the values. */
  readonly vectors: readonly Float64Array[];
}

/** Eigenpairs of the projected WᵀW, whose lower triangle is `gram`. */
function ritzVectors(gram: readonly (readonly number[])[], size: number): Ritz {
  const matrix = new Float64Array(size * size);
  for (const [row, entries] of gram.entries()) {
    for (const [column, value] of entries.entries()) {
      matrix[row * size + column] = value;
      matrix[column * size + row] = value;
    }
  }
  const { values, vectors } = symmetricEigen(matrix, size);
  const order = Array.from(values.keys()).sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0));
  return {
    values: order.map((index) => values[index] ?? 0),
    vectors: order.map((index) => vectors.subarray(index * size, (index + 1) * size)),
  };
}

/** ‖WᵀW x − θ x‖ for each wanted Ritz vector: only the last block reaches out of the basis. */
function isConverged({ values, vectors }: Ritz, rest: readonly Float64Array[], count: number, size: number): boolean {
  const limit = TOLERANCE * (values[0] ?? 0);
  for (let index = 0; index < count; index++) {
    const residual = new Float64Array(rest[0]?.length ?? 0);
    for (const [at, vector] of rest.entries()) axpy(vectors[index]?.[size - rest.length + at] ?? 0, vector, residual);
    if (Math.sqrt(dot(residual, residual)) > limit) return false;
  }
  return true;
}

function flatten(vectors: readonly Float64Array[], length: number): Float64Array {
  const out = new Float64Array(vectors.length * length);
  for (const [index, vector] of vectors.entries()) out.set(vector, index * length);
  return out;
}
