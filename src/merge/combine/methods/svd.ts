/**
 * The weighted sum of the deltas, cut to a rank by singular value decomposition.
 */

import type { SumMethod } from "../method.ts";

export const svd: SumMethod = {
  kind: "sum",
  summary: "the weighted sum, cut to the highest rank of the adapters or to --rank",
  paper: undefined,
  parameters: [],
  cuts: true,
};
