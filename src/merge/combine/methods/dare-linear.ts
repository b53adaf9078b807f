/**
 * DARE: a random share of the elements of each delta, scaled up for those that were dropped, in a weighted sum.
 */

import { joinSum } from "../join.ts";
import type { ElementMethod } from "../method.ts";

export const dareLinear: ElementMethod = {
  kind: "elements",
  summary: "the weighted sum of a random share of each delta, scaled up by 1 / density",
  paper: "https://arxiv.org/abs/2311.03099",
  parameters: ["density", "seed"],
  selection: "random",
  join: joinSum,
};
