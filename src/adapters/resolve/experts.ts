/**
 * LoRA of stacked experts (PEFT `target_parameters`) → one low-rank step for each expert and tensor.
 *
 * down [E·rank, …] holds the experts one after the other; up […, rank·E] holds them rank-major (B_e = up[:, e::E], PEFT)
 * or expert-major. Which of the parameter's two dimensions `down` reads follows from the shapes, and where both fit from
 * the version of PEFT (0.21.2 `lora/layer.py` ParamWrapper): see `readsFirstDimension`.
 */

import { formatShape } from "../../core/shape.ts";
import type { AdapterModule, ExpertLayout } from "../adapter.ts";
import type { TensorEdit } from "../edit.ts";
import { matrixOf, sliceColumns, sliceRows } from "../matrix.ts";
import { findTarget, notInBase, type ResolveContext } from "./context.ts";
import { isTurnedOnDisk, runsOnInputsFirst, singleExperts } from "./expert-names.ts";
import { lowRankStep } from "./low-rank-step.ts";
import type { Placement } from "./placement.ts";
import { problem } from "./report.ts";

/** The parameter (E, first, second) of the running model, and where the rows of each expert's matrix are. */
interface Stack {
  readonly first: number;
  readonly second: number;
  readonly experts: readonly (readonly Piece[])[];
}

/** Rows `start` … of one expert's matrix [first, second]. */
interface Piece extends Pick<Placement, "tensor" | "view" | "rowStart"> {
  readonly start: number;
  readonly count: number;
  /** The tensor holds the transpose. */
  readonly turned: boolean;
}

export function expertEdits(module: AdapterModule, context: ResolveContext): TensorEdit[] {
  const { delta, rank, name, parameter = "weight" } = module;
  if (delta.kind !== "lora") throw problem(`${delta.kind} on stacked experts is not supported`);
  if (module.magnitude !== undefined || module.residual !== undefined || module.bias !== undefined) {
    throw problem("only plain LoRA of stacked experts is supported, PEFT knows nothing else");
  }
  if (context.model.graph !== undefined) throw problem("stacked experts of an ONNX graph are not supported");
  const stack = findStack(name, parameter, context);
  const count = stack.experts.length;
  const [downRows = 0, downColumns = 0] = delta.down.shape;
  const [upRows = 0, upColumns = 0] = delta.up.shape;
  if (downRows !== rank * count || upColumns !== rank * count) {
    throw problem(
      `expected factors for ${count} experts of rank ${rank}, got ${formatShape(delta.down.shape)} and ${formatShape(delta.up.shape)}`,
    );
  }
  const readsFirst = readsFirstDimension(stack, downColumns, upRows, module, context);
  const down = matrixOf(delta.down, downRows, downColumns);
  const up = matrixOf(delta.up, upRows, upColumns);
  const order = context.expertOrder ?? module.expertLayout?.order ?? "rank-major";
  const edits = new Map<string, TensorEdit>();
  for (const [expert, pieces] of stack.experts.entries()) {
    const ownDown = sliceRows(down, expert * rank, rank);
    const ownUp =
      order === "rank-major" ? sliceColumns(up, expert, rank, count) : sliceColumns(up, expert * rank, rank);
    for (const piece of pieces) {
      const placement = placementOf(piece, stack, readsFirst);
      const step = lowRankStep(placement, ownUp, ownDown, module.scale * context.weight);
      const { tensor, view } = piece;
      const steps = [...(edits.get(tensor.name)?.steps ?? []), step];
      edits.set(tensor.name, { tensor: tensor.name, module: `${name}.${parameter}`, view, steps, bothEnds: false });
    }
  }
  return [...edits.values()];
}

function findStack(name: string, parameter: string, context: ResolveContext): Stack {
  const tensor = findTarget(`${name}.${parameter}`, context);
  if (tensor !== undefined) {
    const [count = 0, rows = 0, columns = 0] = tensor.shape;
    if (tensor.shape.length !== 3)
      throw problem(`expected stacked experts (E, …, …), got ${formatShape(tensor.shape)}`);
    const turned = isTurnedOnDisk(name, context);
    const [first, second] = turned ? [columns, rows] : [rows, columns];
    const view = [count * rows, columns] as const;
    const experts = Array.from({ length: count }, (_, expert) => [
      { tensor, view, rowStart: expert * rows, start: 0, count: first, turned },
    ]);
    return { first, second, experts };
  }
  const single = singleExperts(name, parameter, context);
  if (single === undefined) throw notInBase(`${name}.${parameter}`, context);
  return stackSingle(single);
}

function stackSingle(single: NonNullable<ReturnType<typeof singleExperts>>): Stack {
  let size: readonly [first: number, second: number] | undefined;
  const experts = single.map((tensors, expert) => {
    let start = 0;
    const pieces = tensors.map((tensor): Piece => {
      const [rows = 0, columns = 0] = tensor.shape;
      const piece = { tensor, view: [rows, columns] as const, rowStart: 0, start, count: rows, turned: false };
      start += rows;
      return piece;
    });
    const second = pieces[0]?.view[1] ?? 0;
    size ??= [start, second];
    if (size[0] !== start || pieces.some(({ view }) => view[1] !== size?.[1])) {
      throw problem(`expert ${expert} of the base is ${formatShape([start, second])}, expected ${formatShape(size)}`);
    }
    return pieces;
  });
  const [first, second] = size ?? [0, 0];
  return { first, second, experts };
}

function placementOf(piece: Piece, { first, second }: Stack, readsFirst: boolean): Placement {
  const { tensor, view, rowStart, start, count, turned } = piece;
  // The layer's outputs are the second dimension where `down` reads the first.
  const range = readsFirst
    ? { firstOutput: 0, outputs: second, firstInput: start, inputs: count }
    : { firstOutput: start, outputs: count, firstInput: 0, inputs: second };
  const whole = count === first;
  return {
    tensor,
    view,
    rowStart,
    columnStart: whole || !turned ? 0 : start,
    transposed: readsFirst !== turned,
    ...range,
  };
}

/**
 * PEFT ≥ 0.19.1 reads the second dimension, and the first of modules that run on (E, in, out) (gpt-oss; not Llama 4);
 * 0.19.0 the other way round; older ones always the first.
 */
function readsFirstDimension(
  { first, second }: Stack,
  inputs: number,
  outputs: number,
  { expertLayout }: AdapterModule,
  context: ResolveContext,
): boolean {
  const fitsFirst = inputs === first && outputs === second;
  const fitsSecond = inputs === second && outputs === first;
  if (!fitsFirst && !fitsSecond) {
    throw problem(
      `shapes do not fit: the factors are for ${outputs} outputs and ${inputs} inputs, expected ${first} and ${second} in either order`,
    );
  }
  if (fitsFirst !== fitsSecond) return fitsFirst;
  const swapped: ExpertLayout["swapped"] = expertLayout?.swapped ?? "by-shape";
  if (swapped === "by-shape") {
    throw problem(
      "square experts fit the layouts of old and new PEFT alike, expected a peft_version in adapter_config.json that tells which",
    );
  }
  if (swapped === "unless-transposed") return true;
  return swapped !== runsOnInputsFirst(context);
}
