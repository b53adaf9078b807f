/**
 * The adapter of one layer as nodes: y = base(x) + s · up · (down · x), or DoRA's rescaled form of it.
 *
 * Formulas of PEFT 0.21 (`peft/tuners/lora/{layer,dora}.py`). Rows of x are multiplied as one matrix with Gemm, whose own
 * transposition, factor and summand make the adapter two nodes. The dropout mask holds 0 or 1/(1 − p) and acts on x
 * before down only.
 */

import type { GraphBuilder } from "./builder.ts";
import type { Value } from "./call.ts";
import { asRows, reshaped } from "./reshape.ts";

/** down [rank, in], up [out, rank]; with a magnitude [out] the adapter is DoRA. */
export interface LoraValues {
  readonly down: Value;
  readonly up: Value;
  readonly scale: number;
  readonly magnitude?: Value;
  /** Shape of x. */
  readonly dropoutMask?: Value;
}

export interface LinearLayer {
  /** [..., in] */
  readonly x: Value;
  /** [in, out], or [out, in] when `transposed`. */
  readonly weight: Value;
  readonly transposed: boolean;
  /** x · weight + bias: [..., out] */
  readonly base: Value;
  readonly bias?: Value;
}

export interface AdaptedValue {
  readonly y: Value;
  /** DoRA's norms [out]: constants for the gradient. */
  readonly norms?: Value;
}

/** A linear layer with its adapter. */
export function adaptLinear(g: GraphBuilder, layer: LinearLayer, lora: LoraValues): AdaptedValue {
  const { base } = layer;
  const x = asRows(g, lora.dropoutMask === undefined ? layer.x : g.mul(layer.x, lora.dropoutMask));
  const low = g.gemm(x, lora.down, { transposeRight: true });
  const added = (summand: Value) =>
    g.gemm(low, lora.up, { transposeRight: true, alpha: lora.scale, summand: asRows(g, summand) });
  if (lora.magnitude === undefined) return { y: reshaped(g, added(base), base.shape) };
  const norms = mergedNorms(g, layer, lora);
  const ratio = g.div(lora.magnitude, norms);
  const rows = asRows(g, base);
  // base − bias; PEFT takes the dropped x here, too, when there is dropout.
  let plain = layer.bias === undefined ? rows : g.sub(rows, layer.bias);
  let rest = layer.bias;
  if (lora.dropoutMask !== undefined) {
    plain = g.gemm(x, layer.weight, { transposeRight: layer.transposed });
    rest = g.sub(rows, plain);
  }
  const scaled = g.mul(ratio, added(plain));
  const y = rest === undefined ? scaled : g.add(rest, scaled);
  return { y: reshaped(g, y, base.shape), norms };
}

/** An embedding with its adapter: down [rank, tokens], up [width, rank], one column of down for each token. */
export function adaptEmbedding(g: GraphBuilder, base: Value, indices: Value, lora: LoraValues): AdaptedValue {
  const columns = g.gather(lora.down, indices, 1);
  const order = [...columns.shape.keys()];
  const low = asRows(g, g.transpose(columns, [...order.slice(1), 0]));
  const summand = asRows(g, base);
  return { y: reshaped(g, g.gemm(low, lora.up, { transposeRight: true, alpha: lora.scale, summand }), base.shape) };
}

/**
 * ‖W + s·B·A‖ for each output, without forming the sum: ‖w‖² + 2s·b·(A w) + s²·b·(A Aᵀ)·b for its rows w of W and b of B.
 */
function mergedNorms(g: GraphBuilder, { weight, transposed }: LinearLayer, { down, up, scale }: LoraValues): Value {
  const outputs = up.shape.slice(0, 1);
  const own = g.reshape(g.reduceSum(g.mul(weight, weight), [transposed ? 1 : 0]), outputs);
  const projected = g.gemm(weight, down, { transposeLeft: !transposed, transposeRight: true, alpha: 2 * scale });
  const gram = g.gemm(down, down, { transposeRight: true });
  const both = g.gemm(up, gram, { alpha: scale ** 2, summand: projected });
  return g.sqrt(g.add(own, g.reshape(g.reduceSum(g.mul(up, both), [1]), outputs)));
}
