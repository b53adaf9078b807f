/** Activations of feed-forward layers (`ACT2FN` of transformers 5.23). */

import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/call.ts";
import { gelu, geluTanh, relu } from "../../graph/functions.ts";
import type { ActivationKind } from "../description.ts";

export function activate(g: GraphBuilder, kind: ActivationKind, x: Value): Value {
  return FORMULAS[kind](g, x);
}

const FORMULAS: Readonly<Record<ActivationKind, (g: GraphBuilder, x: Value) => Value>> = {
  /** x · σ(x) */
  silu: (g, x) => g.mul(x, g.sigmoid(x)),
  gelu,
  "gelu-tanh": geluTanh,
  relu,
};
