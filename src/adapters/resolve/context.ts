/**
 * What every part of resolving one adapter against one base needs.
 */

import { isFloatDtype } from "../../core/dtype.ts";
import { UnsupportedError } from "../../core/errors.ts";
import { quote, summarise } from "../../core/text.ts";
import type { Model } from "../../formats/model.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { Adapter, ExpertOrder } from "../adapter.ts";
import type { Architecture } from "../architecture/architecture.ts";
import type { TensorEdit } from "../edit.ts";
import { candidatesFor } from "./graph-candidates.ts";
import { assertPlainValues } from "./graph-layer.ts";
import type { NameFinder } from "./names.ts";
import { refuseQuantized } from "./quantized.ts";
import { Misfit, problem, type Report } from "./report.ts";

export interface ResolveContext {
  readonly adapter: Adapter;
  readonly model: Model;
  readonly architecture: Architecture;
  readonly names: NameFinder;
  /** Of the adapter among several; every delta is multiplied by it. */
  readonly weight: number;
  /** Overrides what the adapter says about its expert factors. */
  readonly expertOrder: ExpertOrder | undefined;
  readonly report: Report;
  readonly edits: TensorEdit[];
}

/** The tensor of that path, ready to be edited; `undefined` when the base has none. */
export function findTarget(path: string, context: ResolveContext): TensorData | undefined {
  const match = context.names.find(path);
  if (match.kind === "many") {
    throw problem(`fits ${match.names.length} tensors of the base, expected 1: ${summarise(match.names.map(quote))}`);
  }
  if (match.kind === "none") {
    refuseQuantized(path, context);
    return undefined;
  }
  refuseQuantized(match.tensor.name, context);
  assertPlainValues(match.tensor, context);
  if (!isFloatDtype(match.tensor.dtype)) {
    throw new UnsupportedError("UNSUPPORTED_DTYPE", `no arithmetic is defined for ${match.tensor.dtype}`, {
      file: context.model.path,
      subject: match.tensor.name,
    });
  }
  return match.tensor;
}

/** @param path of the parameter that was looked for */
export function notInBase(path: string, context: ResolveContext): Misfit {
  return new Misfit("unmatched", `the base has no such tensor${candidatesFor(path, context)}`);
}
