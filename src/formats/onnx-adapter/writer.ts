/**
 * The frame of an .onnx_adapter file, which ONNX Runtime maps into memory and binds to graph inputs by name.
 *
 * Schema: see `reader.ts`. The tables come first and the data behind them, each a vector of bytes: its length, then the data
 * from a multiple of 8 on, as the schema asks (ONNX Runtime's own writer misses it). So the data can be written as a stream.
 * Refused: text tensors, scalars, names that are empty or taken, and 2 GiB, which FlatBuffers cannot hold.
 */

import * as flatbuffers from "flatbuffers";
import { tensorBytes } from "../../core/dtype.ts";
import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { isWellFormed } from "../../core/text.ts";
import { DTYPE_ELEMENT_TYPES } from "../onnx/element-type.ts";
import type { FrameEntry, WeightsFrame } from "../weights-frame.ts";
import { ADAPTER_FIELDS, FORMAT_VERSION, IDENTIFIER, PARAMETER_FIELDS } from "./schema.ts";

const ALIGNMENT_BYTES = 8;
const LENGTH_BYTES = 4;
/** Offsets of FlatBuffers are signed where they lead to a vtable. */
const MAX_BYTES = 2 ** 31 - 1;

export interface AdapterVersions {
  /** The maker's own counting. Default 1. */
  readonly adapterVersion?: number;
  readonly modelVersion?: number;
}

/**
 * Each entry becomes a parameter under its own name.
 *
 * @throws {UnsupportedError} UNSUPPORTED_DTYPE for text, UNSUPPORTED_FORMAT when it would reach 2 GiB
 * @throws {FormatError} DUPLICATE_KEY, INVALID_METADATA or INVALID_UTF8 for a name that cannot stand in it
 */
export function onnxAdapterFrame(
  entries: readonly FrameEntry[],
  { adapterVersion = 1, modelVersion = 1 }: AdapterVersions = {},
): WeightsFrame {
  assertWritable(entries);
  const builder = new flatbuffers.Builder();
  const noData = builder.createByteVector(new Uint8Array());
  const parameters = entries.map((entry) => writeParameter(builder, entry, noData));
  const vector = writeOffsets(builder, parameters);
  builder.startObject(Object.keys(ADAPTER_FIELDS).length);
  builder.addFieldInt32(ADAPTER_FIELDS.formatVersion, FORMAT_VERSION, 0);
  builder.addFieldInt32(ADAPTER_FIELDS.adapterVersion, adapterVersion, 0);
  builder.addFieldInt32(ADAPTER_FIELDS.modelVersion, modelVersion, 0);
  builder.addFieldOffset(ADAPTER_FIELDS.parameters, vector, 0);
  builder.finish(builder.endObject(), IDENTIFIER);
  const header = Uint8Array.from(builder.asUint8Array());
  // The builder counts from the end of what it has written.
  const places = parameters.map((offset) => header.length - offset);
  return placeData(header, places, entries);
}

function writeParameter(
  builder: flatbuffers.Builder,
  { dtype, shape, name }: FrameEntry,
  noData: flatbuffers.Offset,
): flatbuffers.Offset {
  builder.startVector(8, shape.length, 8);
  // A FlatBuffer is built from its end.
  for (const size of shape.toReversed()) builder.addInt64(BigInt(size));
  const dims = builder.endVector();
  const text = builder.createString(name);
  builder.startObject(Object.keys(PARAMETER_FIELDS).length);
  builder.addFieldOffset(PARAMETER_FIELDS.name, text, 0);
  builder.addFieldOffset(PARAMETER_FIELDS.dims, dims, 0);
  builder.addFieldInt32(PARAMETER_FIELDS.dataType, DTYPE_ELEMENT_TYPES[dtype], 0);
  builder.addFieldOffset(PARAMETER_FIELDS.rawData, noData, 0);
  return builder.endObject();
}

function writeOffsets(builder: flatbuffers.Builder, offsets: readonly flatbuffers.Offset[]): flatbuffers.Offset {
  builder.startVector(4, offsets.length, 4);
  for (const offset of offsets.toReversed()) builder.addOffset(offset);
  return builder.endVector();
}

/** Leads the data field of each table to its place behind all tables. */
function placeData(header: Uint8Array, tables: readonly number[], entries: readonly FrameEntry[]): WeightsFrame {
  const buffer = new flatbuffers.ByteBuffer(header);
  let end = header.length;
  const before: Uint8Array[] = [];
  const offsets = entries.map((entry, index) => {
    const byteLength = tensorBytes(entry);
    const start = Math.ceil((end + LENGTH_BYTES) / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    const table = tables[index] ?? 0;
    const field = table + buffer.__offset(table, 4 + 2 * PARAMETER_FIELDS.rawData);
    // Offsets count from where they stand.
    buffer.writeUint32(field, start - LENGTH_BYTES - field);
    before.push(lengthOf(byteLength));
    end = start + byteLength;
    return start;
  });
  if (end <= MAX_BYTES) return { header, offsets, before, size: end };
  const problem = `the adapter would take ${end} bytes, the format holds ${MAX_BYTES}`;
  throw new UnsupportedError("UNSUPPORTED_FORMAT", problem, { hint: "lower the rank: lora-tool resize" });
}

function lengthOf(byteLength: number): Uint8Array {
  const bytes = new Uint8Array(LENGTH_BYTES);
  new DataView(bytes.buffer).setUint32(0, byteLength, true);
  return bytes;
}

function assertWritable(entries: readonly FrameEntry[]): void {
  const names = new Set<string>();
  for (const { name, dtype, shape } of entries) {
    if (dtype === "string") {
      throw new UnsupportedError("UNSUPPORTED_DTYPE", "an adapter holds no text", { subject: name });
    }
    if (shape.length === 0) {
      throw new UnsupportedError("UNSUPPORTED_FORMAT", "an adapter holds no scalars: ONNX Runtime refuses them", {
        subject: name,
      });
    }
    if (name === "") throw new FormatError("INVALID_METADATA", "a parameter needs a name");
    if (!isWellFormed(name))
      throw new FormatError("INVALID_UTF8", "half a surrogate pair in a name", { subject: name });
    if (names.has(name)) throw new FormatError("DUPLICATE_KEY", "two parameters have this name", { subject: name });
    names.add(name);
  }
}
