/**
 * TIES: the largest elements of each delta, of which those take part whose sign is the elected one.
 */

import { joinMajority } from "../join.ts";
import type { ElementMethod } from "../method.ts";

export const ties: ElementMethod = {
  kind: "elements",
  summary: "the largest elements of each delta, averaged over those of the elected sign",
  paper: "https://arxiv.org/abs/2306.01708",
  parameters: ["density", "majoritySign"],
  selection: "largest",
  join: joinMajority,
};
