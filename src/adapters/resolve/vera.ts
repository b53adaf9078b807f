/**
 * VeRA (arXiv 2310.11454, PEFT 0.21.2 `vera/layer.py`): diag(outputs) · up[:out] · diag(ranks) · down[:, :in]. The shared
 * projections are as large as the largest layer and are cut to the size of each.
 */

import { formatShape } from "../../core/shape.ts";
import { quote } from "../../core/text.ts";
import type { Delta } from "../adapter.ts";
import type { LowRankStep } from "../edit.ts";
import { matrixOf, sliceColumns, sliceRows } from "../matrix.ts";
import { checkLength } from "./check-length.ts";
import { lowRankStep } from "./low-rank-step.ts";
import type { Layer, Placement } from "./placement.ts";
import { problem } from "./report.ts";

type Vera = Extract<Delta, { kind: "vera" }>;

/** @param placement of the whole layer */
export function veraStep(delta: Vera, rank: number, layer: Layer, placement: Placement, scale: number): LowRankStep {
  const { down, up, ranks, outputs } = delta;
  checkLength(ranks, rank, "numbers, one for each rank");
  checkLength(outputs, layer.outputs, "numbers, one for each output");
  const [downRows = 0, most = 0] = down.shape;
  const [mostOutputs = 0, upColumns = 0] = up.shape;
  if (downRows !== rank || most < layer.inputs) throw tooSmall(down, `[${rank}, ${layer.inputs}]`);
  if (upColumns !== rank || mostOutputs < layer.outputs) throw tooSmall(up, `[${layer.outputs}, ${rank}]`);
  const ownUp = sliceRows(matrixOf(up, mostOutputs, rank), 0, layer.outputs);
  const ownDown = sliceColumns(matrixOf(down, rank, most), 0, layer.inputs);
  const step = lowRankStep(placement, ownUp, ownDown, scale, ranks);
  return { ...step, [placement.transposed ? "columnFactors" : "rowFactors"]: outputs };
}

function tooSmall({ name, shape }: Vera["up"], least: string) {
  return problem(`expected a shared projection ${quote(name)} of at least ${least}, got ${formatShape(shape)}`);
}
