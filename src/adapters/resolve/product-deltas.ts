/**
 * LoHa (w1a·w1b) ∘ (w2a·w2b) and LoKr kron(w1, w2), arXiv 2108.06098 and 2309.14859, as PEFT 0.21.2 has them. Tucker
 * cores of convolutions are multiplied out here, in double precision: they are as small as the factors.
 */

import { elementCount, formatShape } from "../../core/shape.ts";
import { memoryTensor } from "../../formats/memory-tensor.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { Delta } from "../adapter.ts";
import type { HadamardStep, KroneckerStep, MatrixProduct } from "../edit.ts";
import { type MatrixView, matrixOf, transpose } from "../matrix.ts";
import type { Placement } from "./placement.ts";
import { storageView } from "./placement.ts";
import { problem } from "./report.ts";
import { readNumbers } from "./tensor-values.ts";

type Loha = Extract<Delta, { kind: "loha" }>;
type Lokr = Extract<Delta, { kind: "lokr" }>;

export function hadamardStep(delta: Loha, placement: Placement, scale: number): HadamardStep {
  checkSize(placement, sizeOf([delta.w1a, delta.w1b], delta.t1));
  checkSize(placement, sizeOf([delta.w2a, delta.w2b], delta.t2));
  const first = productOf(delta.w1a, delta.w1b, delta.t1);
  const second = productOf(delta.w2a, delta.w2b, delta.t2);
  return { kind: "hadamard", scale, first: turn(first, placement), second: turn(second, placement) };
}

export function kroneckerStep(delta: Lokr, placement: Placement, scale: number): KroneckerStep {
  const [a, b] = sizeOf(delta.w1, undefined);
  const [c, d] = sizeOf(delta.w2, delta.t2);
  checkSize(placement, [a * c, b * d]);
  const first = factorOf(delta.w1, undefined);
  const second = factorOf(delta.w2, delta.t2);
  return { kind: "kronecker", scale, first: turn(first, placement), second: turn(second, placement) };
}

type Parts = readonly [TensorData] | readonly [TensorData, TensorData];

function factorOf(parts: Parts, core: TensorData | undefined): MatrixView | MatrixProduct {
  const [left, right] = parts;
  return right === undefined ? matrixOf(left, ...storageView(left)) : productOf(left, right, core);
}

/** a [out, r] · b [r, in…]; with a core t [r, r, k…]: a [r, out], b [r, in], Σ_ij a[i, out] · t[i, j, k…] · b[j, in]. */
function productOf(a: TensorData, b: TensorData, core: TensorData | undefined): MatrixProduct {
  if (core === undefined) {
    const product = { left: matrixOf(a, ...storageView(a)), right: matrixOf(b, ...storageView(b)) };
    checkRanks(product.left.columns, product.right.rows);
    return product;
  }
  const left = transpose(matrixOf(a, ...storageView(a)));
  return { left, right: contractCore(core, matrixOf(b, ...storageView(b)), left.columns) };
}

/**
 * Σ_j core[i, j, k…] · b[j, in] as [i, in · k…], for a C-ordered b [r, in].
 *
 * @param rank that the other factor has
 */
export function contractCore(core: TensorData, b: MatrixView, rank: number): MatrixView {
  const { rows, columns: inputs } = b;
  const [coreRows = 0, coreColumns = 0] = core.shape;
  checkRanks(rank, coreRows);
  checkRanks(rows, coreColumns);
  const kernel = storageView(core)[1] / coreColumns;
  const [t, w] = [readNumbers(core), readNumbers(b.tensor)];
  const values = new Float64Array(coreRows * inputs * kernel);
  for (let i = 0; i < coreRows; i++) {
    for (let j = 0; j < coreColumns; j++) {
      for (let input = 0; input < inputs; input++) {
        for (let k = 0; k < kernel; k++) {
          const at = (i * inputs + input) * kernel + k;
          values[at] = (values[at] ?? 0) + (t[(i * coreColumns + j) * kernel + k] ?? 0) * (w[j * inputs + input] ?? 0);
        }
      }
    }
  }
  const right = memoryTensor(core.name, [coreRows, inputs * kernel], values);
  return matrixOf(right, coreRows, inputs * kernel);
}

function checkRanks(a: number, b: number): void {
  if (a !== b) throw problem(`factors have ranks ${a} and ${b}, expected equal ones`);
  if (a === 0) throw problem("factors have rank 0, expected at least 1");
}

function checkSize({ transposed, view }: Placement, size: readonly [number, number]): void {
  const [rows, columns] = transposed ? [size[1], size[0]] : size;
  if (rows === view[0] && columns === view[1]) return;
  throw problem(`expected factors for a weight of ${formatShape(view)}, got ${formatShape([rows, columns])}`);
}

/** [rows, columns] of a factor, from shapes alone: nothing is read or computed before they fit. */
function sizeOf([left, right]: Parts, core: TensorData | undefined): readonly [number, number] {
  if (right === undefined) return storageView(left);
  const [[first, second], [, inputs]] = [storageView(left), storageView(right)];
  if (core === undefined) return [first, inputs];
  return [second, inputs * (elementCount(core.shape.slice(2)) ?? Number.POSITIVE_INFINITY)];
}

/** As the tensor stores it: (A ∘ B)ᵀ = Aᵀ ∘ Bᵀ, kron(A, B)ᵀ = kron(Aᵀ, Bᵀ), (LR)ᵀ = RᵀLᵀ. */
function turn<Factor extends MatrixView | MatrixProduct>(factor: Factor, placement: Placement): Factor;
function turn(factor: MatrixView | MatrixProduct, { transposed }: Placement): MatrixView | MatrixProduct {
  if (!transposed) return factor;
  if ("tensor" in factor) return transpose(factor);
  return { left: transpose(factor.right), right: transpose(factor.left) };
}
