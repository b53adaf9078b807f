/**
 * DARE's random share of each delta, then TIES' election of signs.
 */

import { joinMajority } from "../join.ts";
import type { ElementMethod } from "../method.ts";

export const dareTies: ElementMethod = {
  kind: "elements",
  summary: "a random share of each delta, then those of the elected sign",
  paper: "https://arxiv.org/abs/2311.03099",
  parameters: ["density", "majoritySign", "seed"],
  selection: "random",
  join: joinMajority,
};
