/**
 * The inputs that every training graph has, one number for each position of a batch.
 */

import type { EngineTensors } from "../../engine/tensor.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/call.ts";
import type { Batch } from "../data/batch.ts";

/** i64 [rows, length] each. */
export interface TokenInputs {
  readonly inputIds: Value;
  readonly positionIds: Value;
  readonly segmentIds: Value;
}

/** What the loss compares with, shifted; i64 [rows, length]. */
export const LABELS = "labels";

export function declareTokenInputs(g: GraphBuilder, rows: number, length: number): TokenInputs {
  const input = (name: string) => g.input(name, "i64", [rows, length]);
  return {
    inputIds: input("input_ids"),
    positionIds: input("position_ids"),
    segmentIds: input("segment_ids"),
  };
}

export function feedBatch({ rows, length, inputIds, positionIds, segmentIds, labels }: Batch): EngineTensors {
  const tensor = (data: BigInt64Array) => ({ dtype: "i64", shape: [rows, length], data }) as const;
  return new Map([
    ["input_ids", tensor(inputIds)],
    ["position_ids", tensor(positionIds)],
    ["segment_ids", tensor(segmentIds)],
    [LABELS, tensor(labels)],
  ]);
}
