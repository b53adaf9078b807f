/**
 * The parts of a `TensorProto` that an edit writes anew, as pieces: the payload itself stays a range of some file.
 */

import protobuf from "protobufjs/minimal.js";
import { DTYPE_BITS, type Dtype } from "../../core/dtype.ts";
import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { elementCount, formatShape, type Shape } from "../../core/shape.ts";
import type { FileRange, MemoryRange } from "../tensor-store.ts";
import { DTYPE_ELEMENT_TYPES } from "./element-type.ts";
import { byteLengthOf, bytesPiece, type Piece, type PieceSource } from "./pieces.ts";
import { ENTRY, TENSOR } from "./schema.ts";
import { messageHeader } from "./splice.ts";
import { encodeText } from "./text.ts";
import { writeBytes, writeInt64 } from "./wire-writer.ts";

/** A tensor that takes the place of another or is new. */
export interface NewTensor {
  readonly dtype: Dtype;
  readonly shape: Shape;
  /** Where its bytes come from; without it the caller writes them into the range that the layout reserves. */
  readonly source?: FileRange | MemoryRange;
}

/** Place in a data file. */
export interface ExternalPlace {
  /** Name of the data file beside the model. */
  readonly file: string;
  readonly offset: number;
  readonly withChecksum: boolean;
}

/** @throws {UnsupportedError | FormatError} for text and for shapes whose size no number holds */
export function byteLengthOfTensor({ dtype, shape }: NewTensor, subject: string): number {
  if (dtype === "string")
    throw new UnsupportedError("UNSUPPORTED_DTYPE", "text tensors cannot be written", { subject });
  const bits = (elementCount(shape) ?? Number.NaN) * DTYPE_BITS[dtype];
  if (Number.isSafeInteger(bits)) return Math.ceil(bits / 8);
  throw new FormatError("INVALID_SHAPE", `expected a shape of at most 2^53 bits, got ${formatShape(shape)}`, {
    subject,
  });
}

/** The bytes of a tensor, tagged with its key. */
export function payloadPiece(key: string, tensor: NewTensor): Piece {
  const source: PieceSource = tensor.source ?? { kind: "reserved" };
  return { byteLength: byteLengthOfTensor(tensor, key), source, tensor: key };
}

/** Fields of dims, data_type and values. */
export function tensorContent(key: string, tensor: NewTensor, external: ExternalPlace | undefined): Piece[] {
  const payload = payloadPiece(key, tensor);
  const writer = protobuf.Writer.create();
  for (const size of tensor.shape) writeInt64(writer, TENSOR.dims >>> 3, size);
  writeInt64(writer, TENSOR.dataType >>> 3, DTYPE_ELEMENT_TYPES[tensor.dtype]);
  const head = bytesPiece(writer.finish());
  if (external === undefined) {
    return [head, bytesPiece(messageHeader(TENSOR.rawData >>> 3, payload.byteLength)), payload];
  }
  const { file, offset, withChecksum } = external;
  const location = protobuf.Writer.create();
  writeInt64(location, TENSOR.dataLocation >>> 3, 1);
  return [
    head,
    ...externalEntryPieces("location", textPiece(file)),
    ...externalEntryPieces("offset", textPiece(String(offset))),
    ...externalEntryPieces("length", textPiece(String(payload.byteLength))),
    ...(withChecksum ? externalEntryPieces("checksum", checksumPiece(file)) : []),
    bytesPiece(location.finish()),
  ];
}

/** A whole initialiser, as a field of its graph. */
export function initialiserPieces(field: number, name: string, content: readonly Piece[]): Piece[] {
  const writer = protobuf.Writer.create();
  writeBytes(writer, TENSOR.name >>> 3, encodeText(name));
  const pieces = [bytesPiece(writer.finish()), ...content];
  return [bytesPiece(messageHeader(field, byteLengthOf(pieces))), ...pieces];
}

/** One `external_data` entry, as a field of its tensor. */
export function externalEntryPieces(key: string, value: Piece): Piece[] {
  return entryPieces(TENSOR.externalData >>> 3, key, value);
}

/** A `StringStringEntryProto`, as a field of the message that it belongs to. */
export function entryPieces(field: number, key: string, value: Piece): Piece[] {
  const writer = protobuf.Writer.create();
  writeBytes(writer, ENTRY.key >>> 3, encodeText(key));
  const pieces = [bytesPiece(writer.finish()), bytesPiece(messageHeader(ENTRY.value >>> 3, value.byteLength)), value];
  return [bytesPiece(messageHeader(field, byteLengthOf(pieces))), ...pieces];
}

export function textPiece(text: string): Piece {
  return bytesPiece(encodeText(text));
}

export function checksumPiece(file: string): Piece {
  return { byteLength: 40, source: { kind: "sha1", file } };
}
