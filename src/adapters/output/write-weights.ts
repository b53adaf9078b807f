/**
 * Fills a staged file with a header and the tensors behind it, one after the other.
 */

import type { RunOptions } from "../../core/progress.ts";
import type { WeightsFrame } from "../../formats/weights-frame.ts";
import { fillFileInPieces } from "../../formats/write-file.ts";
import type { Rounding } from "./multiply.ts";
import { type OutputTensor, outputBytes } from "./output-tensor.ts";
import { TensorPieces } from "./tensor-pieces.ts";

/**
 * @param path a file that a stage has created
 * @param frame made for these tensors, in this order
 * @returns what became of the tensors that were multiplied, by name
 * @throws {NonFiniteError} when a product is not finite
 * @throws {InterruptedError} when the signal has come
 */
export async function writeWeights(
  path: string,
  frame: WeightsFrame,
  tensors: readonly OutputTensor[],
  { signal, onProgress }: RunOptions,
): Promise<ReadonlyMap<string, Rounding>> {
  const pieces = new TensorPieces();
  const counted = function* () {
    let done = 0;
    for (const piece of filePieces(frame, tensors, pieces)) {
      yield piece;
      done += piece.byteLength;
      onProgress?.({ phase: "write", done, total: frame.size, unit: "bytes" });
    }
  };
  await fillFileInPieces(path, counted(), signal);
  return pieces.roundings;
}

function* filePieces(
  { header, offsets, before = [], size }: WeightsFrame,
  tensors: readonly OutputTensor[],
  pieces: TensorPieces,
): Generator<Uint8Array> {
  yield header;
  let position = header.byteLength;
  for (const [index, tensor] of tensors.entries()) {
    const offset = offsets[index] ?? position;
    const gap = new Uint8Array(offset - position);
    const own = before[index] ?? new Uint8Array();
    gap.set(own, gap.length - own.length);
    if (gap.length > 0) yield gap;
    yield* pieces.of(tensor);
    position = offset + outputBytes(tensor);
  }
  if (size > position) yield new Uint8Array(size - position);
}
