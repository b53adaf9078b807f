/**
 * `AttributeProto` and `TypeProto` → values, read from the file when they are asked for.
 *
 * onnx.proto, IR 14. Models before IR 3 do not state an attribute's type: the field that is filled tells it then.
 * Refused: graphs (see `toGraph`), types, lists of tensors or graphs, sparse tensors, references to a function's attributes.
 */

import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { readTensorBytes } from "../byte-source.ts";
import type { TensorData } from "../tensor-store.ts";
import { dtypeOfElementType } from "./element-type.ts";
import type { Attribute, Dimension, ValueInfo } from "./graph.ts";
import { lazyBytes } from "./lazy.ts";
import type { OnnxAttribute, OnnxNode, OnnxValue } from "./model.ts";
import { ATTRIBUTE, DIMENSION, NODE, SHAPE, TENSOR_TYPE, TYPE, VALUE_INFO } from "./schema.ts";
import { readEntry } from "./walk-tensor.ts";
import { type Field, LENGTH_DELIMITED, type Span } from "./wire.ts";
import type { WireReader } from "./wire-reader.ts";

/** An attribute that is no graph. */
export type PlainAttribute = Exclude<Attribute, { readonly kind: "graph" }>;

/** `AttributeProto.AttributeType` of what can be read. */
const KINDS: ReadonlyMap<number, Attribute["kind"]> = new Map([
  [1, "float"],
  [2, "int"],
  [3, "string"],
  [4, "tensor"],
  [5, "graph"],
  [6, "floats"],
  [7, "ints"],
  [8, "strings"],
]);

/** The value of an attribute; `undefined` for a graph. */
export function readAttribute(wire: WireReader, attribute: OnnxAttribute): PlainAttribute | undefined {
  const values = readValues(wire, attribute);
  const kind = values.type === 0 ? inferKind(values, attribute) : KINDS.get(values.type);
  const [tensor] = attribute.tensors;
  switch (kind) {
    case "float":
      return { kind, value: values.float ?? 0 };
    case "int":
      return { kind, value: values.int ?? 0n };
    case "string":
      return { kind, value: values.string ?? "" };
    case "floats":
      return { kind, value: values.floats };
    case "ints":
      return { kind, value: values.ints };
    case "strings":
      return { kind, value: values.strings };
    case "tensor":
      if (tensor !== undefined) return { kind, value: inMemory(tensor.data) };
      break;
    case "graph":
      return undefined;
  }
  throw new UnsupportedError(
    "UNSUPPORTED_MODEL",
    `an attribute of type ${values.type} without a value that can be read`,
    {
      file: wire.path,
      subject: attribute.name,
    },
  );
}

/** The attribute of the function around it that it takes its value from; `undefined` where it has a value of its own. */
export function readAttributeReference(wire: WireReader, { span }: OnnxAttribute): string | undefined {
  let reference = "";
  for (const field of wire.fields([span])) if (field.tag === ATTRIBUTE.refName) reference = wire.text(field);
  return reference === "" ? undefined : reference;
}

/** Attributes travel with their node, wherever that is written: they do not refer to the file, unlike initialisers. */
export function inMemory(data: TensorData): TensorData {
  if (data.source.kind === "memory") return data;
  return { ...data, source: lazyBytes(() => readTensorBytes(data)) };
}

interface Values {
  type: number;
  float?: number;
  int?: bigint;
  string?: string;
  readonly floats: number[];
  readonly ints: bigint[];
  readonly strings: string[];
}

function readValues(wire: WireReader, { span, name }: OnnxAttribute): Values {
  const values: Values = { type: 0, floats: [], ints: [], strings: [] };
  for (const field of wire.fields([span])) {
    switch (field.tag) {
      case ATTRIBUTE.type:
        values.type = wire.number(field);
        break;
      case ATTRIBUTE.float:
        values.float = wire.float(field);
        break;
      case ATTRIBUTE.int:
        values.int = wire.int64(field);
        break;
      case ATTRIBUTE.string:
        values.string = wire.text(field);
        break;
      case ATTRIBUTE.floats:
      case ATTRIBUTE.packedFloats:
        appendFloats(wire, field, values.floats);
        break;
      case ATTRIBUTE.ints:
      case ATTRIBUTE.packedInts:
        wire.forEachVarint(field, (low, high) =>
          values.ints.push(BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low >>> 0))),
        );
        break;
      case ATTRIBUTE.strings:
        values.strings.push(wire.text(field));
        break;
      case ATTRIBUTE.refName:
        throw new UnsupportedError("UNSUPPORTED_MODEL", "refers to an attribute of a function", {
          file: wire.path,
          subject: name,
        });
    }
  }
  return values;
}

function appendFloats(wire: WireReader, { tag, start, end }: Field, floats: number[]): void {
  if ((tag & 7) === LENGTH_DELIMITED && (end - start) % 4 !== 0) {
    throw new FormatError("INVALID_PROTOBUF", `packed numbers at byte ${start} do not fill their field`, {
      file: wire.path,
    });
  }
  const bytes = wire.bytes(start, end);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length; at += 4) floats.push(view.getFloat32(at, true));
}

function inferKind(values: Values, { tensors, graphs }: OnnxAttribute): Attribute["kind"] | undefined {
  if (values.float !== undefined) return "float";
  if (values.int !== undefined) return "int";
  if (values.string !== undefined) return "string";
  if (tensors.length > 0) return "tensor";
  if (graphs.length > 0) return "graph";
  if (values.floats.length > 0) return "floats";
  if (values.ints.length > 0) return "ints";
  return values.strings.length > 0 ? "strings" : undefined;
}

/**
 * The type of a graph's input, output or value.
 *
 * @throws {UnsupportedError} UNSUPPORTED_MODEL for sequences, maps and other values that are no tensors
 */
export function readValueInfo(wire: WireReader, { span, name }: OnnxValue): ValueInfo {
  const types = children(wire, children(wire, [span], VALUE_INFO.type), TYPE.tensor);
  if (types.length === 0) {
    throw new UnsupportedError("UNSUPPORTED_MODEL", "a value that is no tensor", { file: wire.path, subject: name });
  }
  let elementType = 0;
  for (const field of wire.fields(types)) if (field.tag === TENSOR_TYPE.elementType) elementType = wire.number(field);
  const dtype = dtypeOfElementType(elementType);
  if (dtype === undefined) {
    throw new FormatError("INVALID_DTYPE", `expected an element type from 1 to 28, got ${elementType}`, {
      file: wire.path,
      subject: name,
    });
  }
  const shapes = children(wire, types, TENSOR_TYPE.shape);
  const dimensions = children(wire, shapes, SHAPE.dimension);
  return { name, dtype, shape: shapes.length === 0 ? undefined : dimensions.map((one) => readDimension(wire, one)) };
}

function readDimension(wire: WireReader, span: Span): Dimension {
  let dimension: Dimension;
  for (const field of wire.fields([span])) {
    if (field.tag === DIMENSION.value) dimension = wire.number(field);
    else if (field.tag === DIMENSION.symbol) dimension = wire.text(field);
  }
  // Exporters write an unknown size as nothing, as an empty symbol or as a negative number.
  return dimension === "" || (typeof dimension === "number" && dimension < 0) ? undefined : dimension;
}

function children(wire: WireReader, parts: readonly Span[], tag: number): Span[] {
  return [...wire.fields(parts)].filter((field) => field.tag === tag).map((field) => wire.child(field));
}

/** `metadata_props` of a node: PyTorch's exporter writes the module's name there. */
export function readNodeMetadata(wire: WireReader, { span }: OnnxNode): Map<string, string> {
  const entries = children(wire, [span], NODE.metadata).map((entry) => readEntry(wire, entry));
  return new Map(entries.map(({ key, value }) => [key, value]));
}
