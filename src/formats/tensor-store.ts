/**
 * Named tensors and where their bytes lie: what every format opens into and what the rest of the program sees.
 *
 * A store holds headers only. Bytes are read by range, so memory never depends on the size of a model, and a
 * `TensorData` is plain data: it can be handed to a worker thread, which opens the file itself.
 */

import type { Dtype } from "../core/dtype.ts";
import type { ErrorDetails } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";

/** Bytes of a file, little-endian, C order. */
export interface FileRange {
  readonly kind: "file";
  /** Path that can be opened; already resolved and checked by the format. */
  readonly path: string;
  /** From the start of the file, in bytes. */
  readonly offset: number;
}

/** Bytes in memory, for tensors that a format had to decode or that were computed. */
export interface MemoryRange {
  readonly kind: "memory";
  readonly bytes: Uint8Array;
}

export interface TensorData {
  /** As found in the file: hostile, never a path, escaped before it is printed. */
  readonly name: string;
  readonly dtype: Dtype;
  /** Outermost first; counts logical elements. */
  readonly shape: Shape;
  readonly byteLength: number;
  readonly source: FileRange | MemoryRange;
}

/** What an error about a tensor names: the tensor and, where there is one, its file. */
export function placeOf({ name, source }: TensorData): Pick<ErrorDetails, "subject" | "file"> {
  return { subject: name, ...(source.kind === "file" && { file: source.path }) };
}

/** `count` elements of the first dimension from `start` on, where they lie. */
export function sliceTensor(tensor: TensorData, start: number, count: number): TensorData {
  const { shape, source } = tensor;
  const [rows = 0, ...rest] = shape;
  const rowBytes = rows === 0 ? 0 : tensor.byteLength / rows;
  const [from, byteLength] = [start * rowBytes, count * rowBytes];
  return {
    ...tensor,
    shape: [count, ...rest],
    byteLength,
    source:
      source.kind === "file"
        ? { ...source, offset: source.offset + from }
        : { ...source, bytes: source.bytes.subarray(from, from + byteLength) },
  };
}

/** A file as it was when it was opened, to notice a change while the program runs. */
export interface FileIdentity {
  readonly path: string;
  readonly size: number;
  readonly device: bigint;
  readonly inode: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

export interface TensorStore {
  /** What the user named: a folder or a file. */
  readonly path: string;
  /** In the order of the file; for several files, in the order of their names. */
  readonly tensors: ReadonlyMap<string, TensorData>;
  /** Textual metadata of the container (safetensors `__metadata__`, ONNX metadata_props …). */
  readonly metadata: ReadonlyMap<string, string>;
  /** Every file that was opened to make this store. */
  readonly files: readonly FileIdentity[];
  /** What is odd but allowed; finished, escaped lines. */
  readonly warnings: readonly string[];
}
