/** Matrices of a batch, each transposed: [..., m, n] → [..., n, m] */

import type { GraphBuilder } from "./builder.ts";
import type { Value } from "./call.ts";

export function swapLastAxes(g: GraphBuilder, matrices: Value): Value {
  const last = matrices.shape.length - 1;
  return g.transpose(matrices, [...matrices.shape.keys()].with(last, last - 1).with(last - 1, last));
}
