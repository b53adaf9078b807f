/** Activations of feed-forward layers (`ACT2FN` of transformers 5.23). */

import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/call.ts";
import type { ActivationKind } from "../description.ts";

export function activate(g: GraphBuilder, kind: ActivationKind, x: Value): Value {
  return FORMULAS[kind](g, x);
}

const FORMULAS: Readonly<Record<ActivationKind, (g: GraphBuilder, x: Value) => Value>> = {
  /** x · σ(x) */
  silu: (g, x) => g.mul(x, g.sigmoid(x)),
  /** ½ x (1 + erf(x / √2)) */
  gelu: (g, x) => halved(g, x, g.erf(g.mul(x, g.scalar(Math.SQRT1_2)))),
  /** ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))) */
  "gelu-tanh": (g, x) => {
    const cubic = g.mul(g.add(g.mul(g.mul(x, x), g.scalar(0.044715)), g.scalar(1)), x);
    return halved(g, x, g.tanh(g.mul(cubic, g.scalar(Math.sqrt(2 / Math.PI)))));
  },
  relu: (g, x) => g.max(x, g.scalar(0)),
};

/** ½ x (1 + y) */
function halved(g: GraphBuilder, x: Value, y: Value): Value {
  return g.mul(g.mul(x, g.scalar(0.5)), g.add(y, g.scalar(1)));
}
