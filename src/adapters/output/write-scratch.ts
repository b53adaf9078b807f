/**
 * Planned tensors written into a scratch file, so that they can be read like stored ones.
 */

import { createKernels } from "../../core/cast/kernels.ts";
import { floatBytes, isFloatDtype, tensorBytes } from "../../core/dtype.ts";
import { NonFiniteError } from "../../core/errors.ts";
import type { RunOptions } from "../../core/progress.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import { fillFileInPieces } from "../../formats/write-file.ts";
import { inF32, type OutputTensor } from "./output-tensor.ts";
import { TensorPieces } from "./tensor-pieces.ts";

/** The tensor as it will be, before anything is written. */
export function plannedTensor(tensor: OutputTensor, path = "", offset = 0): TensorData {
  const { name, dtype, shape } = tensor;
  return { name, dtype, shape, byteLength: tensorBytes(tensor), source: { kind: "file", path, offset } };
}

/**
 * @param path of a file that a stage has created
 * @returns one tensor for each given, in their order
 * @throws {NonFiniteError} when a number is not finite in its dtype
 */
export async function writeScratch(
  path: string,
  tensors: readonly OutputTensor[],
  { signal, onProgress }: RunOptions,
): Promise<TensorData[]> {
  const total = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  const counted = function* () {
    const pieces = new TensorPieces();
    let done = 0;
    for (const tensor of tensors) {
      for (const piece of piecesOf(tensor, pieces)) {
        yield piece;
        done += piece.byteLength;
        onProgress?.({ phase: "factor", done, total, unit: "bytes", subject: tensor.name });
      }
    }
  };
  await fillFileInPieces(path, counted(), signal);
  let offset = 0;
  return tensors.map((tensor) => {
    const written = plannedTensor(tensor, path, offset);
    offset += written.byteLength;
    return written;
  });
}

/** Pieces come in the dtypes of the sources or in f32; narrower ones are rounded from f32. */
function* piecesOf(tensor: OutputTensor, pieces: TensorPieces): Generator<Uint8Array> {
  const { dtype, blocks, name } = tensor;
  if (
    !isFloatDtype(dtype) ||
    dtype === "f32" ||
    blocks.every(({ view, factor }) => view.tensor.dtype === dtype && factor === 1)
  ) {
    yield* pieces.of(tensor);
    return;
  }
  const kernels = createKernels();
  for (const piece of pieces.of(inF32(tensor))) {
    const single = new Float32Array(piece.buffer, piece.byteOffset, piece.byteLength / 4);
    const narrow = new Uint8Array(single.length * floatBytes(dtype));
    kernels.narrow(dtype, single, narrow);
    kernels.widen(dtype, narrow, single);
    if (!single.every(Number.isFinite)) {
      throw new NonFiniteError(`the factors are not finite in ${dtype}`, { subject: name, hint: "choose --dtype f32" });
    }
    yield narrow;
  }
}
