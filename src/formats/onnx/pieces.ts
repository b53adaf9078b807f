/**
 * A file to be written as a list of pieces: ranges of files that exist, bytes, and ranges that the caller fills.
 */

import type { FileRange, MemoryRange } from "../tensor-store.ts";

export type PieceSource =
  | FileRange
  | MemoryRange
  /** The caller writes these bytes. */
  | { readonly kind: "reserved" }
  /** SHA-1 of another output file, as 40 hexadecimal digits, once that file is complete. */
  | { readonly kind: "sha1"; readonly file: string };

export interface Piece {
  readonly byteLength: number;
  readonly source: PieceSource;
  /** Key of the tensor whose bytes these are, where they are changed or new. */
  readonly tensor?: string;
}

/** A piece with its place in the output file, in bytes. */
export interface PlacedPiece extends Piece {
  readonly offset: number;
}

/** Bytes that no piece covers are zero. */
export interface OutputFile {
  readonly name: string;
  readonly byteLength: number;
  readonly pieces: readonly PlacedPiece[];
}

export function bytesPiece(bytes: Uint8Array): Piece {
  return { byteLength: bytes.length, source: { kind: "memory", bytes } };
}

export function copyPiece(path: string, start: number, end: number): Piece {
  return { byteLength: end - start, source: { kind: "file", path, offset: start } };
}

/** Appends, joining ranges of one file that follow on. */
export function appendPiece(pieces: Piece[], piece: Piece): void {
  if (piece.byteLength === 0) return;
  const last = pieces.at(-1);
  const follows =
    last?.source.kind === "file" &&
    piece.source.kind === "file" &&
    last.tensor === undefined &&
    piece.tensor === undefined &&
    last.source.path === piece.source.path &&
    last.source.offset + last.byteLength === piece.source.offset;
  if (follows) pieces[pieces.length - 1] = { ...last, byteLength: last.byteLength + piece.byteLength };
  else pieces.push(piece);
}

export function byteLengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** One piece behind the other from the start of a file. */
export function placePieces(name: string, pieces: readonly Piece[]): OutputFile {
  let offset = 0;
  const placed = pieces.map((piece) => {
    const at = offset;
    offset += piece.byteLength;
    return { ...piece, offset: at };
  });
  return { name, byteLength: offset, pieces: placed };
}
