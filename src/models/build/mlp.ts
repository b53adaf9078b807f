/** The feed-forward part of a block as nodes; formulas at `MlpDescription`. */

import type { Value } from "../../graph/call.ts";
import type { MlpDescription } from "../description.ts";
import { activate } from "./activation.ts";
import type { LayerBuilder } from "./layer-builder.ts";

/** Rows [n, width] → the same */
export function buildMlp(
  layers: LayerBuilder,
  { activation, layers: parts }: MlpDescription,
  x: Value,
  block: number,
): Value {
  const { g } = layers;
  switch (parts.kind) {
    case "gated": {
      const gate = activate(g, activation, layers.linear(parts.gate, x, block));
      return layers.linear(parts.down, g.mul(gate, layers.linear(parts.up, x, block)), block);
    }
    case "fused": {
      const half = parts.gateUp.outputs / 2;
      const [gate, up] = g.split(layers.linear(parts.gateUp, x, block), [half, half], -1);
      if (gate === undefined || up === undefined) throw new Error("Split has no results");
      return layers.linear(parts.down, g.mul(activate(g, activation, gate), up), block);
    }
    case "plain":
      return layers.linear(parts.down, activate(g, activation, layers.linear(parts.up, x, block)), block);
  }
}
