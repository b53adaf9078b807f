/**
 * OFT (arXiv 2306.07280, LyCORIS `modules/diag_oft.py`): the outputs of a layer, in blocks, are turned by rotations
 * R = (I + Q)(I − Q)⁻¹ with Q = X − Xᵀ, each row m of a block becomes Σ_n R[n, m] · W[n]; then rows are rescaled.
 *
 * Q is shortened to `constraint` · outputs where its norm over all blocks is longer; a constraint of 0 is none.
 */

import { cayley } from "../../core/linear-algebra/cayley.ts";
import { memoryTensor } from "../../formats/memory-tensor.ts";
import type { Delta } from "../adapter.ts";
import type { Step } from "../edit.ts";
import { matrixOf, sliceRows } from "../matrix.ts";
import { checkLength } from "./check-length.ts";
import type { Layer, Placement } from "./placement.ts";
import { problem } from "./report.ts";
import { readNumbers } from "./tensor-values.ts";

type Oft = Extract<Delta, { kind: "oft" }>;

/** @param placement of the whole layer */
export function oftSteps(delta: Oft, layer: Layer, placement: Placement, weight: number): Step[] {
  const [count = 0, size = 0] = delta.blocks.shape;
  if (count * size !== layer.outputs) {
    throw problem(`rotates ${count} blocks of ${size} outputs, expected ${layer.outputs} outputs`);
  }
  if (placement.transposed) throw problem("OFT of a layer that is stored with its inputs first is not supported");
  const [rows, columns] = placement.view;
  const stored = matrixOf(placement.tensor, rows, columns);
  const changes = matrixOf(memoryTensor(delta.blocks.name, [rows, size], changesOf(delta, layer.outputs)), rows, size);
  const steps = Array.from({ length: count }, (_, block): Step => {
    const rowStart = block * size;
    const left = sliceRows(changes, rowStart, size);
    return {
      kind: "low-rank",
      scale: weight,
      rowStart,
      columnStart: 0,
      left,
      right: sliceRows(stored, rowStart, size),
    };
  });
  if (delta.rescale === undefined) return steps;
  if (weight !== 1) throw problem(`OFT with rescale can only be merged with weight 1, got ${weight}`);
  checkLength(delta.rescale, layer.outputs, "factors");
  return [...steps, { kind: "scale", axis: "rows", weight, vector: delta.rescale }];
}

/** Row m of each block: R[:, m] without the identity, [outputs, size]. */
function changesOf({ blocks, constraint }: Oft, outputs: number): Float64Array {
  const [count = 0, size = 0] = blocks.shape;
  const stored = readNumbers(blocks);
  const skews = Array.from({ length: count }, (_, block) => {
    const own = stored.subarray(block * size * size, (block + 1) * size * size);
    return own.map((value, at) => value - (own[(at % size) * size + Math.floor(at / size)] ?? 0));
  });
  const norm = Math.sqrt(skews.reduce((sum, skew) => skew.reduce((inner, value) => inner + value * value, sum), 0));
  const most = constraint * outputs;
  const shrink = most > 0 && norm > most ? most / norm : 1;
  const changes = new Float64Array(outputs * size);
  for (const [block, skew] of skews.entries()) {
    const rotation = cayley(
      skew.map((value) => value * shrink),
      size,
    );
    for (const [at, value] of rotation.entries()) {
      const [from, to] = [Math.floor(at / size), at % size];
      changes[(block * size + to) * size + from] = value - (from === to ? 1 : 0);
    }
  }
  return changes;
}
