/**
 * The weighted sum of the largest elements of each delta.
 */

import { joinSum } from "../join.ts";
import type { ElementMethod } from "../method.ts";

export const magnitudePrune: ElementMethod = {
  kind: "elements",
  summary: "the weighted sum of the largest elements of each delta",
  paper: undefined,
  parameters: ["density"],
  selection: "largest",
  join: joinSum,
};
