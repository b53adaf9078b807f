/**
 * Protobuf fields, tag and value together, on top of the minimal writer of protobufjs (no reflection, no generated code).
 *
 * Wire format: https://protobuf.dev/programming-guides/encoding/ . A tag is `field << 3 | wire type`.
 */

import type protobuf from "protobufjs/minimal.js";

export type Writer = protobuf.Writer;

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** A number must be a safe integer. Negative values take ten bytes, as protobuf's int64 does. */
export function writeInt64(writer: Writer, field: number, value: number | bigint): void {
  writer.uint32((field << 3) | VARINT);
  // protobufjs takes no bigint; its text form is exact.
  if (typeof value === "bigint") writer.int64(value.toString());
  else writer.int64(value);
}

/** Rounded to f32. */
export function writeFloat(writer: Writer, field: number, value: number): void {
  writer.uint32((field << 3) | FIXED32).float(value);
}

export function writeDouble(writer: Writer, field: number, value: number): void {
  writer.uint32((field << 3) | FIXED64).double(value);
}

export function writeText(writer: Writer, field: number, value: string): void {
  writer.uint32((field << 3) | LENGTH_DELIMITED).string(value);
}

export function writeBytes(writer: Writer, field: number, value: Uint8Array): void {
  writer.uint32((field << 3) | LENGTH_DELIMITED).bytes(value);
}

/** A message whose fields `write` writes with the same writer. */
export function writeMessage(writer: Writer, field: number, write: () => void): void {
  writer.uint32((field << 3) | LENGTH_DELIMITED).fork();
  write();
  writer.ldelim();
}
