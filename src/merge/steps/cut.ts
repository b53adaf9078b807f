/**
 * W += the weighted sum of low-rank deltas, cut to a rank: factors of the same rectangle side by side in f64, singular value
 * decomposition, and the factors of the lower rank as one low-rank delta.
 */

import type { LowRankStep } from "../../adapters/edit.ts";
import type { MatrixLoader } from "../../adapters/load-matrix.ts";
import { productSvd } from "../../adapters/low-rank/product-svd.ts";
import { transpose } from "../../adapters/matrix.ts";
import { NonFiniteError } from "../../core/errors.ts";
import { openEngine } from "../../engine/engine.ts";
import { type Gemm, openGemm } from "../../engine/gemm.ts";
import { placeOf } from "../../formats/tensor-store.ts";
import type { CombineStep } from "../combine/combine-step.ts";
import { addToTile, type ReadyStep, rowsInTile, type StepContext } from "./tile.ts";

interface WeightedStep {
  readonly step: LowRankStep;
  readonly weight: number;
}

export async function prepareCut(combined: CombineStep, context: StepContext): Promise<ReadyStep> {
  const groups = new Map<string, WeightedStep[]>();
  for (const { steps, weight } of combined.deltas) {
    for (const step of steps) {
      if (step.kind !== "low-rank") throw new Error(`a ${step.kind} step has no factors to cut`);
      const key = [step.rowStart, step.columnStart, step.left.rows, step.right.columns].join();
      groups.set(key, [...(groups.get(key) ?? []), { step, weight }]);
    }
  }
  // Only the processor has f64 everywhere.
  const engine = await openEngine({ device: "cpu", threads: 1 });
  try {
    const ready: ReadyStep[] = [];
    for (const group of groups.values()) {
      ready.push(await cutGroup(group, combined.method.rank, context, openGemm(engine)));
    }
    return async (tile) => {
      for (const apply of ready) await apply(tile);
    };
  } finally {
    await engine.close();
  }
}

async function cutGroup(
  group: readonly WeightedStep[],
  wanted: number | undefined,
  { loader, gemm, source }: StepContext,
  exact: Gemm,
): Promise<ReadyStep> {
  const [first] = group;
  if (first === undefined) return async () => {};
  const { rowStart, columnStart } = first.step;
  const { left, right, size } = sideBySide(group, loader);
  if (!left.every(Number.isFinite) || !right.every(Number.isFinite)) {
    throw new NonFiniteError("the factors are not finite, no decomposition is defined for them", {
      ...placeOf(source),
      hint: "the adapter holds NaN or infinity, or its deltas are far too large",
    });
  }
  const rank = wanted ?? group.reduce((most, { step }) => Math.max(most, step.left.columns), 0);
  const cut = await (await productSvd(exact, left, right, size)).cut(rank);
  const [up, down] = [Float32Array.from(cut.left), Float32Array.from(cut.right)];
  return async (tile) => {
    const { from, count: m } = rowsInTile(tile, rowStart, size.rows);
    if (m <= 0) return;
    const own = up.subarray((from - rowStart) * rank, (from - rowStart + m) * rank);
    const product = loader.pool.take(m * size.columns);
    await gemm.multiply({ m, n: size.columns, k: rank, left: own, right: down, target: product });
    addToTile(tile, from, columnStart, product, size.columns);
  };
}

/** All factors as one product left [rows, inner] · rightᵀ of right [columns, inner], weights and scales in `left`. */
function sideBySide(group: readonly WeightedStep[], loader: MatrixLoader) {
  const size = {
    rows: group[0]?.step.left.rows ?? 0,
    inner: group.reduce((sum, { step }) => sum + step.left.columns, 0),
    columns: group[0]?.step.right.columns ?? 0,
  };
  const left = new Float64Array(size.rows * size.inner);
  const right = new Float64Array(size.columns * size.inner);
  let at = 0;
  for (const { step, weight } of group) {
    const k = step.left.columns;
    const [a, b] = [loader.matrix(step.left), loader.matrix(transpose(step.right))];
    const [diagonal, ofRows, ofColumns] = [step.diagonal, step.rowFactors, step.columnFactors].map((tensor) =>
      tensor === undefined ? undefined : loader.vector(tensor),
    );
    for (let row = 0; row < size.rows; row++) {
      for (let index = 0; index < k; index++) {
        const factor = weight * step.scale * (ofRows?.[row] ?? 1) * (diagonal?.[index] ?? 1);
        left[row * size.inner + at + index] = factor * (a[row * k + index] ?? 0);
      }
    }
    for (let row = 0; row < size.columns; row++) {
      for (let index = 0; index < k; index++) {
        right[row * size.inner + at + index] = (ofColumns?.[row] ?? 1) * (b[row * k + index] ?? 0);
      }
    }
    at += k;
  }
  return { left, right, size };
}
