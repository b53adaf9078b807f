/** Tensors written where they belong in a file that has room for them. */

import { withFileToWrite, writeAllSync } from "../../formats/write-file.ts";
import type { OutputTensor } from "./output-tensor.ts";
import type { TensorPieces } from "./tensor-pieces.ts";

export interface PlacedTensor {
  readonly tensor: OutputTensor;
  /** From the start of the file, in bytes. */
  readonly offset: number;
}

/**
 * @param path a file that a stage has created
 * @throws {NonFiniteError} when a product is not finite
 */
export function writePlaced(path: string, entries: readonly PlacedTensor[], pieces: TensorPieces): void {
  withFileToWrite(path, (fd) => writePlacedTo(fd, { path, entries }, pieces));
}

/**
 * The same to an open file.
 *
 * @param beforePiece may throw to stop between two pieces
 */
export function writePlacedTo(
  fd: number,
  { path, entries }: { readonly path: string; readonly entries: readonly PlacedTensor[] },
  pieces: TensorPieces,
  beforePiece?: () => void,
): void {
  for (const { tensor, offset } of entries) {
    let position = offset;
    for (const piece of pieces.of(tensor)) {
      beforePiece?.();
      writeAllSync(fd, piece, position, path);
      position += piece.byteLength;
    }
  }
}
