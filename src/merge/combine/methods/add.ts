/**
 * The sum of all deltas, each times its weight; as an adapter the factors side by side, so that nothing is lost.
 */

import type { SumMethod } from "../method.ts";

export const add: SumMethod = {
  kind: "sum",
  summary: "the sum of each delta times its weight, exact",
  paper: "https://arxiv.org/abs/2212.04089",
  parameters: [],
  cuts: false,
};
