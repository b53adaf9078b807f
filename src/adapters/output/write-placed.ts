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
  withFileToWrite(path, (fd) => {
    for (const { tensor, offset } of entries) {
      let position = offset;
      for (const piece of pieces.of(tensor)) {
        writeAllSync(fd, piece, position, path);
        position += piece.byteLength;
      }
    }
  });
}
