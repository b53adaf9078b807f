/**
 * Field tags (`number << 3 | wire type`) of the ONNX messages that are read or edited: onnx.proto of onnx 1.23, IR 14.
 *
 * A known number under another wire type has another tag and so counts as an unknown field, as protobuf demands.
 * Repeated numbers come packed (length-delimited) or one by one, so those have two tags.
 */

import { FIXED32, FIXED64, LENGTH_DELIMITED, VARINT } from "./wire.ts";

const varint = (field: number) => (field << 3) | VARINT;
const fixed32 = (field: number) => (field << 3) | FIXED32;
const fixed64 = (field: number) => (field << 3) | FIXED64;
const bytes = (field: number) => (field << 3) | LENGTH_DELIMITED;

/** The newest that onnx 1.23 knows. */
export const NEWEST_IR_VERSION = 14;
export const NEWEST_OPSET_VERSION = 28;

export const MODEL = {
  irVersion: varint(1),
  graph: bytes(7),
  opsetImport: bytes(8),
  metadata: bytes(14),
  trainingInfo: bytes(20),
  functions: bytes(25),
} as const;

export const OPSET = { domain: bytes(1), version: varint(2) } as const;

export const ENTRY = { key: bytes(1), value: bytes(2) } as const;

export const GRAPH = {
  node: bytes(1),
  name: bytes(2),
  initialiser: bytes(5),
  input: bytes(11),
  output: bytes(12),
  valueInfo: bytes(13),
  sparseInitialiser: bytes(15),
} as const;

export const NODE = {
  input: bytes(1),
  output: bytes(2),
  name: bytes(3),
  opType: bytes(4),
  attribute: bytes(5),
  domain: bytes(7),
  overload: bytes(8),
  metadata: bytes(9),
} as const;

export const FUNCTION = {
  name: bytes(1),
  input: bytes(4),
  output: bytes(5),
  node: bytes(7),
  opsetImport: bytes(9),
  domain: bytes(10),
  attributeProto: bytes(11),
  overload: bytes(13),
} as const;

export const ATTRIBUTE = {
  name: bytes(1),
  float: fixed32(2),
  int: varint(3),
  string: bytes(4),
  tensor: bytes(5),
  graph: bytes(6),
  floats: fixed32(7),
  packedFloats: bytes(7),
  ints: varint(8),
  packedInts: bytes(8),
  strings: bytes(9),
  tensors: bytes(10),
  graphs: bytes(11),
  type: varint(20),
  refName: bytes(21),
  sparseTensor: bytes(22),
  sparseTensors: bytes(23),
} as const;

export const TENSOR = {
  dims: varint(1),
  packedDims: bytes(1),
  dataType: varint(2),
  segment: bytes(3),
  floatData: fixed32(4),
  packedFloatData: bytes(4),
  int32Data: varint(5),
  packedInt32Data: bytes(5),
  stringData: bytes(6),
  int64Data: varint(7),
  packedInt64Data: bytes(7),
  name: bytes(8),
  rawData: bytes(9),
  doubleData: fixed64(10),
  packedDoubleData: bytes(10),
  uint64Data: varint(11),
  packedUint64Data: bytes(11),
  documentation: bytes(12),
  externalData: bytes(13),
  dataLocation: varint(14),
  metadata: bytes(16),
} as const;

export const SPARSE_TENSOR = { values: bytes(1), indices: bytes(2), dims: varint(3), packedDims: bytes(3) } as const;

export const VALUE_INFO = { name: bytes(1), type: bytes(2) } as const;

export const TYPE = { tensor: bytes(1) } as const;

export const TENSOR_TYPE = { elementType: varint(1), shape: bytes(2) } as const;

export const SHAPE = { dimension: bytes(1) } as const;

export const DIMENSION = { value: varint(1), symbol: bytes(2) } as const;

/** Field numbers that hold the values of a `TensorProto`, its type or its shape. */
export const TENSOR_CONTENT_FIELDS: ReadonlySet<number> = new Set(
  [
    TENSOR.dims,
    TENSOR.dataType,
    TENSOR.floatData,
    TENSOR.int32Data,
    TENSOR.stringData,
    TENSOR.int64Data,
    TENSOR.rawData,
    TENSOR.doubleData,
    TENSOR.uint64Data,
    TENSOR.externalData,
    TENSOR.dataLocation,
  ].map((tag) => tag >>> 3),
);
