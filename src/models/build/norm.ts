/** Normalisation along the last axis; formulas at `NormKind`. */

import type { Value } from "../../graph/call.ts";
import { byRootMeanSquare } from "../../graph/functions.ts";
import type { NormDescription, NormKind } from "../description.ts";
import type { LayerBuilder } from "./layer-builder.ts";

/** x [..., size] → the same shape. */
export function normalise(layers: LayerBuilder, norm: NormDescription, x: Value): Value {
  return NORMS[norm.kind](layers, norm, x);
}

const NORMS: Readonly<Record<NormKind, typeof normalise>> = {
  rms: (layers, norm, x) => layers.g.mul(byRootMeanSquare(layers.g, x, [-1], norm.epsilon), layers.weight(norm.weight)),
  "rms-plus-one": (layers, norm, x) => {
    const { g } = layers;
    return g.mul(byRootMeanSquare(g, x, [-1], norm.epsilon), g.add(layers.weight(norm.weight), g.scalar(1)));
  },
  layer: (layers, norm, x) => {
    const { g } = layers;
    const centred = g.sub(x, g.reduceMean(x, [-1]));
    const y = g.mul(byRootMeanSquare(g, centred, [-1], norm.epsilon), layers.weight(norm.weight));
    return norm.bias === undefined ? y : g.add(y, layers.weight(norm.bias));
  },
};
