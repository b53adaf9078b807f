/**
 * A weights file without the numbers: what stands before them, where each tensor starts, where the file ends. Bytes that
 * belong to nothing are zero.
 */

import type { Dtype } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";

export interface FrameEntry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: Shape;
}

export interface WeightsFrame {
  readonly header: Uint8Array;
  /** From the start of the file, in bytes; one for each tensor, in the order given. */
  readonly offsets: readonly number[];
  /** What stands right before each tensor, where a format has something there. */
  readonly before?: readonly Uint8Array[];
  /** Of the whole file, in bytes. */
  readonly size: number;
}

/** Makes the frame for tensors, in the order in which their data follow. */
export type EncodeFrame = (entries: readonly FrameEntry[]) => WeightsFrame;
