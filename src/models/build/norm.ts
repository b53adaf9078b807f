/** Normalisation along the last axis; formulas at `NormKind`. */

import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/call.ts";
import type { NormDescription, NormKind } from "../description.ts";
import type { LayerBuilder } from "./layer-builder.ts";

/** x [..., size] → the same shape. */
export function normalise(layers: LayerBuilder, norm: NormDescription, x: Value): Value {
  return NORMS[norm.kind](layers, norm, x);
}

const NORMS: Readonly<Record<NormKind, typeof normalise>> = {
  rms: (layers, norm, x) => layers.g.mul(scaled(layers.g, x, norm.epsilon), layers.weight(norm.weight)),
  "rms-plus-one": (layers, norm, x) => {
    const { g } = layers;
    return g.mul(scaled(g, x, norm.epsilon), g.add(layers.weight(norm.weight), g.scalar(1)));
  },
  layer: (layers, norm, x) => {
    const { g } = layers;
    const centred = g.sub(x, g.reduceMean(x, [-1]));
    const y = g.mul(scaled(g, centred, norm.epsilon), layers.weight(norm.weight));
    return norm.bias === undefined ? y : g.add(y, layers.weight(norm.bias));
  },
};

/** x / √(mean x² + ε) */
function scaled(g: GraphBuilder, x: Value, epsilon: number): Value {
  const mean = g.reduceMean(g.mul(x, x), [-1]);
  return g.mul(x, g.reciprocal(g.sqrt(g.add(mean, g.scalar(epsilon)))));
}
