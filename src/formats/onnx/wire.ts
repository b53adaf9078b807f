/**
 * Protobuf's wire format: fields, messages and where they lie.
 *
 * https://protobuf.dev/programming-guides/encoding/ . A tag is `field << 3 | wire type`.
 */

/** A message and where it lies, in bytes from the start of the file. */
export interface Span {
  /** Field number under which the parent holds it; 0 for the file itself. */
  readonly field: number;
  /** Where its tag starts. */
  readonly tagStart: number;
  /** Where its first field starts. */
  readonly start: number;
  readonly end: number;
  readonly parent: Span | undefined;
  readonly depth: number;
}

/** One field of a message. */
export interface Field {
  /** `number << 3 | wire type`, as in the file. */
  readonly tag: number;
  readonly tagStart: number;
  /** Of the value: behind the length for length-delimited fields. */
  readonly start: number;
  readonly end: number;
  readonly message: Span;
}

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
export const START_GROUP = 3;
export const END_GROUP = 4;
export const FIXED32 = 5;
