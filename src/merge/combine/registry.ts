/**
 * Every method by its name: a new one does not compile until it has its row.
 */

import type { CombineMethod } from "./method.ts";
import { add } from "./methods/add.ts";
import { cat } from "./methods/cat.ts";
import { dareLinear } from "./methods/dare-linear.ts";
import { dareTies } from "./methods/dare-ties.ts";
import { linear } from "./methods/linear.ts";
import { magnitudePrune } from "./methods/magnitude-prune.ts";
import { svd } from "./methods/svd.ts";
import { ties } from "./methods/ties.ts";

/** What `--method` takes. */
export const METHOD_NAMES = [
  "add",
  "linear",
  "cat",
  "svd",
  "ties",
  "dare-linear",
  "dare-ties",
  "magnitude-prune",
] as const;
export type MethodName = (typeof METHOD_NAMES)[number];

export const METHODS: Readonly<Record<MethodName, CombineMethod>> = {
  add,
  linear,
  cat,
  svd,
  ties,
  "dare-linear": dareLinear,
  "dare-ties": dareTies,
  "magnitude-prune": magnitudePrune,
};
