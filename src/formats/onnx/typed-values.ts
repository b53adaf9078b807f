/**
 * The typed value fields of a `TensorProto` (float_data, int32_data …), packed or not, as the bytes of a tensor.
 *
 * onnx.proto, IR 14: which field holds which element type, two 4-bit or four 2-bit elements in one int32, one 6-bit
 * element in one. `string` becomes, for each element, its byte count as u32 and its bytes. Little-endian throughout.
 * Refused: a number of values that the shape does not have, integers wider than their type.
 */

import { DTYPE_BITS, type Dtype } from "../../core/dtype.ts";
import { FormatError } from "../../core/errors.ts";
import { TENSOR } from "./schema.ts";
import { FIXED32, FIXED64, type Field, LENGTH_DELIMITED, type Span, VARINT } from "./wire.ts";
import type { WireReader } from "./wire-reader.ts";

const FLOAT_DATA = TENSOR.floatData >>> 3;
const INT32_DATA = TENSOR.int32Data >>> 3;
const STRING_DATA = TENSOR.stringData >>> 3;
const INT64_DATA = TENSOR.int64Data >>> 3;
const DOUBLE_DATA = TENSOR.doubleData >>> 3;
const UINT64_DATA = TENSOR.uint64Data >>> 3;

/** Field numbers of typed values. */
export const TYPED_FIELDS: ReadonlySet<number> = new Set([
  FLOAT_DATA,
  INT32_DATA,
  STRING_DATA,
  INT64_DATA,
  DOUBLE_DATA,
  UINT64_DATA,
]);

/** Fields of dtypes that do not lie in int32_data. */
const OTHER_FIELDS: ReadonlyMap<Dtype, number> = new Map([
  ["f32", FLOAT_DATA],
  ["c64", FLOAT_DATA],
  ["f64", DOUBLE_DATA],
  ["c128", DOUBLE_DATA],
  ["i64", INT64_DATA],
  ["u64", UINT64_DATA],
  ["u32", UINT64_DATA],
  ["string", STRING_DATA],
]);

/** The field that may hold typed values of a dtype. */
export function typedFieldOf(dtype: Dtype): number {
  return OTHER_FIELDS.get(dtype) ?? INT32_DATA;
}

interface TypedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly elements: number;
}

/**
 * Bytes that the values take in memory, after counting and checking them without keeping any.
 *
 * @throws {FormatError} SIZE_MISMATCH, INVALID_MODEL
 */
export function measureTypedValues(wire: WireReader, parts: readonly Span[], tensor: TypedTensor): number {
  let values = 0;
  let bytes = 0;
  forEachTyped(wire, parts, tensor, {
    integer: () => values++,
    block: ({ start, end }) => {
      if (tensor.dtype === "string") {
        values++;
        bytes += 4 + end - start;
      } else bytes += end - start;
    },
  });
  const { dtype, elements } = tensor;
  const isBlocks = !isInteger(dtype);
  const found = dtype !== "string" && isBlocks ? (bytes * 8) / DTYPE_BITS[dtype] : values;
  const expected = isInteger(dtype) ? Math.ceil(elements / elementsOfInteger(dtype)) : elements;
  if (found !== expected) {
    throw new FormatError("SIZE_MISMATCH", `expected ${expected} values, got ${found}`, {
      file: wire.path,
      subject: tensor.name,
    });
  }
  return dtype === "string" ? bytes : Math.ceil((elements * DTYPE_BITS[dtype]) / 8);
}

/** The values as bytes; `byteLength` is what `measureTypedValues` said. */
export function decodeTypedValues(
  wire: WireReader,
  parts: readonly Span[],
  tensor: TypedTensor,
  byteLength: number,
): Uint8Array {
  const bytes = new Uint8Array(byteLength);
  const view = new DataView(bytes.buffer);
  const bits = DTYPE_BITS[tensor.dtype];
  let at = 0;
  forEachTyped(wire, parts, tensor, {
    integer: (low, high) => {
      if (bits === 6) {
        // A stream of 6-bit codes, lowest bits first: a code reaches into two bytes at most.
        const code = low << (at % 8);
        const byte = Math.floor(at / 8);
        bytes[byte] = (bytes[byte] ?? 0) | code;
        if (byte + 1 < bytes.length) bytes[byte + 1] = code >> 8;
        at += 6;
        return;
      }
      if (bits <= 8) bytes[at] = low;
      else if (bits === 16) view.setUint16(at, low, true);
      else view.setUint32(at, low, true);
      if (bits === 64) view.setUint32(at + 4, high, true);
      at += Math.max(1, bits / 8);
    },
    block: ({ start, end }) => {
      if (tensor.dtype === "string") {
        view.setUint32(at, end - start, true);
        at += 4;
      }
      bytes.set(wire.bytes(start, end), at);
      at += end - start;
    },
  });
  return bytes;
}

interface Visitor {
  readonly integer: (low: number, high: number) => void;
  /** Bytes that are taken as they are: floats, or one text. */
  readonly block: (field: Field) => void;
}

function forEachTyped(
  wire: WireReader,
  parts: readonly Span[],
  { name, dtype }: TypedTensor,
  { integer, block }: Visitor,
): void {
  const number = typedFieldOf(dtype);
  const [lowest, highest] = rangeOf(dtype);
  for (const field of wire.fields(parts)) {
    if (field.tag >>> 3 !== number) continue;
    const wireType = field.tag & 7;
    if (wireType !== LENGTH_DELIMITED && wireType !== wireTypeOf(number)) {
      throw mismatch(wire, name, `field ${number} has wire type ${wireType}`);
    }
    if (!isInteger(dtype)) {
      const width = number === FLOAT_DATA ? 4 : number === DOUBLE_DATA ? 8 : 1;
      if ((field.end - field.start) % width !== 0) throw mismatch(wire, name, "packed numbers do not fill their field");
      block(field);
      continue;
    }
    wire.forEachVarint(field, (low, high) => {
      const isValid = number === INT32_DATA ? low >= lowest && low <= highest : dtype !== "u32" || high === 0;
      if (!isValid)
        throw mismatch(wire, name, `the value ${number === INT32_DATA ? low : `${high}·2^32 + ${low}`} is no ${dtype}`);
      integer(low, high);
    });
  }
}

function mismatch(wire: WireReader, subject: string, problem: string): FormatError {
  return new FormatError("INVALID_MODEL", problem, { file: wire.path, subject });
}

function isInteger(dtype: Dtype): boolean {
  const field = typedFieldOf(dtype);
  return field === INT32_DATA || field === INT64_DATA || field === UINT64_DATA;
}

/** Of one value that is not packed. */
function wireTypeOf(number: number): number {
  if (number === FLOAT_DATA) return FIXED32;
  if (number === DOUBLE_DATA) return FIXED64;
  return number === STRING_DATA ? LENGTH_DELIMITED : VARINT;
}

function elementsOfInteger(dtype: Dtype): number {
  const bits = DTYPE_BITS[dtype];
  return bits === 6 ? 1 : Math.max(1, 8 / bits);
}

/** What an entry of int32_data may be: the integer itself, or the bits of anything else. */
function rangeOf(dtype: Dtype): readonly [lowest: number, highest: number] {
  if (dtype === "bool") return [0, 1];
  const bits = DTYPE_BITS[dtype];
  if (dtype === "i32" || dtype === "i16" || dtype === "i8") return [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  return [0, bits === 6 ? 63 : bits < 8 ? 255 : 2 ** bits - 1];
}
