/**
 * Tensors → the bytes of an .onnx_adapter file, which ONNX Runtime maps into memory and binds to graph inputs by name.
 *
 * Schema: see `reader.ts`. Data starts at multiples of 8 bytes, as the schema asks (ONNX Runtime's own writer misses it).
 * Refused: text tensors, scalars, names that are empty or taken, and 2 GiB, which FlatBuffers cannot hold.
 */

import * as flatbuffers from "flatbuffers";
import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { isWellFormed } from "../../core/text.ts";
import { readTensorBytes } from "../byte-source.ts";
import { DTYPE_ELEMENT_TYPES } from "../onnx/element-type.ts";
import type { TensorData } from "../tensor-store.ts";
import { ADAPTER_FIELDS, FORMAT_VERSION, IDENTIFIER, PARAMETER_FIELDS } from "./schema.ts";

const ALIGNMENT_BYTES = 8;
/** Offsets of FlatBuffers are signed where they lead to a vtable. */
const MAX_BYTES = 2 ** 31 - 1;
/** More than the tables, dims and padding of a parameter take. */
const PARAMETER_OVERHEAD_BYTES = 1_024;

export interface AdapterVersions {
  /** The maker's own counting. Default 1. */
  readonly adapterVersion?: number;
  readonly modelVersion?: number;
}

/**
 * The file as bytes; each tensor is a parameter under its own name.
 *
 * @throws {UnsupportedError} UNSUPPORTED_DTYPE for text, UNSUPPORTED_FORMAT when it would reach 2 GiB
 * @throws {FormatError} DUPLICATE_KEY, INVALID_METADATA or INVALID_UTF8 for a name that cannot stand in it
 */
export function encodeOnnxAdapter(
  tensors: readonly TensorData[],
  { adapterVersion = 1, modelVersion = 1 }: AdapterVersions = {},
): Uint8Array {
  assertWritable(tensors);
  const sizes = tensors.map(({ byteLength, name }) => byteLength + name.length * 3 + PARAMETER_OVERHEAD_BYTES);
  const bytes = sizes.reduce((sum, size) => sum + size, PARAMETER_OVERHEAD_BYTES);
  if (bytes > MAX_BYTES) {
    const problem = `the adapter would take ${bytes} bytes, the format holds ${MAX_BYTES}`;
    throw new UnsupportedError("UNSUPPORTED_FORMAT", problem, { hint: "lower the rank: lora-tool resize" });
  }
  // Large enough from the start: growing would copy everything.
  const builder = new flatbuffers.Builder(bytes);
  const parameters = tensors.map((tensor) => writeParameter(builder, tensor));
  const vector = writeOffsets(builder, parameters);
  builder.startObject(Object.keys(ADAPTER_FIELDS).length);
  builder.addFieldInt32(ADAPTER_FIELDS.formatVersion, FORMAT_VERSION, 0);
  builder.addFieldInt32(ADAPTER_FIELDS.adapterVersion, adapterVersion, 0);
  builder.addFieldInt32(ADAPTER_FIELDS.modelVersion, modelVersion, 0);
  builder.addFieldOffset(ADAPTER_FIELDS.parameters, vector, 0);
  builder.finish(builder.endObject(), IDENTIFIER);
  return builder.asUint8Array();
}

function writeParameter(builder: flatbuffers.Builder, tensor: TensorData): flatbuffers.Offset {
  const { dtype, shape, name } = tensor;
  const bytes = readTensorBytes(tensor);
  builder.prep(ALIGNMENT_BYTES, bytes.length);
  const rawData = builder.createByteVector(bytes);
  builder.startVector(8, shape.length, 8);
  // A FlatBuffer is built from its end.
  for (const size of shape.toReversed()) builder.addInt64(BigInt(size));
  const dims = builder.endVector();
  const text = builder.createString(name);
  builder.startObject(Object.keys(PARAMETER_FIELDS).length);
  builder.addFieldOffset(PARAMETER_FIELDS.name, text, 0);
  builder.addFieldOffset(PARAMETER_FIELDS.dims, dims, 0);
  builder.addFieldInt32(PARAMETER_FIELDS.dataType, DTYPE_ELEMENT_TYPES[dtype], 0);
  builder.addFieldOffset(PARAMETER_FIELDS.rawData, rawData, 0);
  return builder.endObject();
}

function writeOffsets(builder: flatbuffers.Builder, offsets: readonly flatbuffers.Offset[]): flatbuffers.Offset {
  builder.startVector(4, offsets.length, 4);
  for (const offset of offsets.toReversed()) builder.addOffset(offset);
  return builder.endVector();
}

function assertWritable(tensors: readonly TensorData[]): void {
  const names = new Set<string>();
  for (const { name, dtype, shape } of tensors) {
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
