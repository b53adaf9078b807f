/**
 * `TensorProto` → name, dtype, shape and the place of its bytes; payloads are stepped over.
 *
 * raw_data and packed floats are ranges of the file; other typed values are decoded when their bytes are asked for.
 * Refused (stricter than onnx 1.23): unknown types, negative or overflowing shapes, more than one kind of values, sizes
 * that do not match the shape, segments, values under a wrong wire type.
 */

import { DTYPE_BITS, type Dtype } from "../../core/dtype.ts";
import { FormatError, UnsupportedError } from "../../core/errors.ts";
import { MAX_TENSOR_RANK } from "../../core/limits.ts";
import { elementCount, formatShape } from "../../core/shape.ts";
import type { FileIdentity, TensorData } from "../tensor-store.ts";
import { dtypeOfElementType } from "./element-type.ts";
import type { ExternalEntry, ExternalFiles } from "./external-data.ts";
import { lazyBytes, withWire } from "./lazy.ts";
import type { OnnxTensor } from "./model.ts";
import { ENTRY, TENSOR, TENSOR_CONTENT_FIELDS } from "./schema.ts";
import { decodeTypedValues, measureTypedValues, TYPED_FIELDS, typedFieldOf } from "./typed-values.ts";
import type { Warnings } from "./warnings.ts";
import { type Field, LENGTH_DELIMITED, type Span } from "./wire.ts";
import type { WireReader } from "./wire-reader.ts";

/** What every walker needs. */
export interface WalkContext {
  readonly wire: WireReader;
  readonly identity: FileIdentity;
  readonly external: ExternalFiles;
  readonly warnings: Warnings;
}

const EXTERNAL = 1;

interface TensorFields {
  name: string;
  dims: number[];
  elementType: number;
  raw: Field | undefined;
  /** Typed value fields that are not empty, by number; the last of each. */
  readonly typed: Map<number, Field>;
  typedCount: number;
  readonly entries: ExternalEntry[];
  location: number;
}

/** @param name the value's name where the tensor itself need not have one (attributes) */
export function walkTensor(context: WalkContext, parts: readonly Span[], name?: string): OnnxTensor {
  const { wire } = context;
  const fields = readFields(context, parts);
  const subject = name ?? fields.name;
  const details = { file: wire.path, subject };
  const dtype = dtypeOfElementType(fields.elementType);
  if (dtype === undefined) {
    throw new FormatError("INVALID_DTYPE", `expected an element type from 1 to 28, got ${fields.elementType}`, details);
  }
  const shape = fields.dims;
  const elements = shape.every((size) => Number.isSafeInteger(size) && size >= 0) ? elementCount(shape) : undefined;
  const byteLength = elements === undefined ? Number.NaN : Math.ceil((elements * DTYPE_BITS[dtype]) / 8);
  if (elements === undefined || !Number.isSafeInteger(elements * DTYPE_BITS[dtype])) {
    throw new FormatError("INVALID_SHAPE", `expected a shape of at most 2^53 bits, got ${formatShape(shape)}`, details);
  }
  assertOneSource(fields, dtype, elements, details);
  const tensor = { name: subject, dtype, shape, elements, byteLength };

  if (fields.location === EXTERNAL) {
    const external = context.external.locate(subject, fields.entries, byteLength);
    const source = { kind: "file" as const, path: external.path, offset: external.offset };
    return { parts, data: { name: subject, dtype, shape, byteLength, source }, payload: undefined, external };
  }
  if (fields.entries.length > 0) context.warnings.add("external data ignored: the tensor does not use it", subject);
  return fields.typed.size > 0
    ? typedTensor(context, parts, fields, tensor)
    : rawTensor(context, parts, fields, tensor);
}

interface CheckedTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly elements: number;
  readonly byteLength: number;
}

function rawTensor(
  context: WalkContext,
  parts: readonly Span[],
  fields: TensorFields,
  tensor: CheckedTensor,
): OnnxTensor {
  const { name, dtype, shape, byteLength } = tensor;
  const { raw } = fields;
  const found = raw === undefined ? 0 : raw.end - raw.start;
  if (found !== byteLength) {
    throw new FormatError(
      "SIZE_MISMATCH",
      `expected ${byteLength} bytes for ${dtype} ${formatShape(shape)}, got ${found}`,
      {
        file: context.wire.path,
        subject: name,
      },
    );
  }
  const start = raw?.start ?? parts.at(-1)?.start ?? 0;
  const source = { kind: "file" as const, path: context.identity.path, offset: start };
  const payload = raw === undefined ? undefined : { start, end: raw.end };
  return { parts, data: { name, dtype, shape, byteLength, source }, payload, external: undefined };
}

function typedTensor(
  { wire, identity }: WalkContext,
  parts: readonly Span[],
  fields: TensorFields,
  tensor: CheckedTensor,
): OnnxTensor {
  const { name, dtype, shape } = tensor;
  const byteLength = measureTypedValues(wire, parts, tensor);
  const only = fields.typedCount === 1 ? fields.typed.get(typedFieldOf(dtype)) : undefined;
  const isFloats = dtype === "f32" || dtype === "f64" || dtype === "c64" || dtype === "c128";
  if (only !== undefined && isFloats && (only.tag & 7) === LENGTH_DELIMITED) {
    // Packed floats are little-endian numbers one behind the other: the same bytes as raw_data.
    const source = { kind: "file" as const, path: identity.path, offset: only.start };
    const payload = { start: only.start, end: only.end };
    return { parts, data: { name, dtype, shape, byteLength, source }, payload, external: undefined };
  }
  const make = () =>
    withWire({ identity, path: wire.path }, (again) => decodeTypedValues(again, parts, tensor, byteLength));
  const data: TensorData = { name, dtype, shape, byteLength, source: lazyBytes(make) };
  return { parts, data, payload: undefined, external: undefined };
}

function assertOneSource(
  fields: TensorFields,
  dtype: Dtype,
  elements: number,
  details: { readonly file: string; readonly subject: string },
): void {
  const invalid = (problem: string) => new FormatError("INVALID_MODEL", problem, details);
  const hasRaw = fields.raw !== undefined && fields.raw.end > fields.raw.start;
  const isExternal = fields.location === EXTERNAL;
  if (fields.location !== 0 && !isExternal) throw invalid(`expected data_location 0 or 1, got ${fields.location}`);
  const sources = fields.typed.size + Number(hasRaw) + Number(isExternal);
  if (sources > 1) throw invalid("expected values in one place, got several (raw_data, typed data, external data)");
  if (sources === 0 && elements > 0)
    throw new FormatError("SIZE_MISMATCH", `expected ${elements} values, got none`, details);
  if (elements === 0 && (hasRaw || fields.typed.size > 0)) {
    throw new FormatError("SIZE_MISMATCH", "expected no values for a shape without elements, got some", details);
  }
  const [typedField] = fields.typed.keys();
  if (typedField !== undefined && typedField !== typedFieldOf(dtype)) {
    throw invalid(`${dtype} values in field ${typedField}, expected field ${typedFieldOf(dtype)} or raw_data`);
  }
  if (dtype === "string" && (hasRaw || isExternal)) throw invalid("text cannot lie in raw_data or external data");
}

function readFields(context: WalkContext, parts: readonly Span[]): TensorFields {
  const { wire, warnings } = context;
  const fields: TensorFields = {
    name: "",
    dims: [],
    elementType: 0,
    raw: undefined,
    typed: new Map(),
    typedCount: 0,
    entries: [],
    location: 0,
  };
  for (const field of wire.fields(parts)) {
    const number = field.tag >>> 3;
    switch (field.tag) {
      case TENSOR.name:
        fields.name = wire.text(field);
        break;
      case TENSOR.dims:
      case TENSOR.packedDims:
        wire.forEachVarint(field, (low, high) => {
          if (fields.dims.length < MAX_TENSOR_RANK) fields.dims.push(high * 2 ** 32 + (low >>> 0));
          else throw new FormatError("INVALID_SHAPE", `more than ${MAX_TENSOR_RANK} dimensions`, { file: wire.path });
        });
        break;
      case TENSOR.dataType:
        if (fields.elementType !== 0) warnings.add("element type stated twice, the last one counts", fields.name);
        fields.elementType = wire.number(field);
        break;
      case TENSOR.rawData:
        if (fields.raw !== undefined) warnings.add("raw_data stated twice, the last one counts", fields.name);
        fields.raw = field;
        break;
      case TENSOR.dataLocation:
        fields.location = wire.number(field);
        break;
      case TENSOR.externalData:
        fields.entries.push({ ...readEntry(wire, wire.child(field)), field });
        break;
      case TENSOR.segment:
        throw new UnsupportedError("UNSUPPORTED_MODEL", "a tensor in segments", {
          file: wire.path,
          subject: fields.name,
        });
      default:
        if (TYPED_FIELDS.has(number) && (field.end > field.start || number === TENSOR.stringData >>> 3)) {
          fields.typed.set(number, field);
          fields.typedCount++;
        } else if (TENSOR_CONTENT_FIELDS.has(number) && !TYPED_FIELDS.has(number)) {
          throw new FormatError("INVALID_PROTOBUF", `tensor field ${number} has wire type ${field.tag & 7}`, {
            file: wire.path,
            subject: fields.name,
          });
        }
    }
  }
  return fields;
}

/** A `StringStringEntryProto`. */
export function readEntry(wire: WireReader, span: Span): { readonly key: string; readonly value: string } {
  let key = "";
  let value = "";
  for (const field of wire.fields([span])) {
    if (field.tag === ENTRY.key) key = wire.text(field);
    else if (field.tag === ENTRY.value) value = wire.text(field);
  }
  return { key, value };
}
