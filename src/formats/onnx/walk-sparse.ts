/**
 * `SparseTensorProto` → a dense tensor whose bytes are made when they are asked for.
 *
 * onnx.proto, IR 14: `values` [n], `indices` int64 [n] into the flattened tensor or [n, rank], ascending, none twice.
 * Everything that is not listed is zero. Refused: indices out of order or out of range, values below a byte or of text.
 */

import { DTYPE_BITS } from "../../core/dtype.ts";
import { FormatError, MemoryError, UnsupportedError } from "../../core/errors.ts";
import { MAX_SMALL_FILE_BYTES, MAX_TENSOR_RANK } from "../../core/limits.ts";
import { elementCount, formatShape, type Shape } from "../../core/shape.ts";
import { readTensorBytes } from "../byte-source.ts";
import type { TensorData } from "../tensor-store.ts";
import { lazyBytes } from "./lazy.ts";
import type { OnnxSparseTensor } from "./model.ts";
import { SPARSE_TENSOR } from "./schema.ts";
import { type WalkContext, walkTensor } from "./walk-tensor.ts";
import type { Span } from "./wire.ts";

/** Tensor of `values` gives the name where none is given. */
export function walkSparseTensor(context: WalkContext, parts: readonly Span[], name?: string): OnnxSparseTensor {
  const { wire } = context;
  const shape: number[] = [];
  const valuesParts: Span[] = [];
  const indicesParts: Span[] = [];
  for (const field of wire.fields(parts)) {
    switch (field.tag) {
      case SPARSE_TENSOR.values:
        valuesParts.push(wire.child(field));
        break;
      case SPARSE_TENSOR.indices:
        indicesParts.push(wire.child(field));
        break;
      case SPARSE_TENSOR.dims:
      case SPARSE_TENSOR.packedDims:
        wire.forEachVarint(field, (low, high) => {
          if (shape.length < MAX_TENSOR_RANK) shape.push(high * 2 ** 32 + (low >>> 0));
          else throw new FormatError("INVALID_SHAPE", `more than ${MAX_TENSOR_RANK} dimensions`, { file: wire.path });
        });
    }
  }
  const values = walkTensor(context, valuesParts, name);
  const indices = walkTensor(context, indicesParts, `indices of ${values.data.name}`);
  return { parts, values, indices, data: denseTensor(values.data, indices.data, shape, wire.path) };
}

function denseTensor(values: TensorData, indices: TensorData, shape: Shape, file: string): TensorData {
  const { name, dtype } = values;
  const details = { file, subject: name };
  const invalid = (problem: string) => new FormatError("INVALID_MODEL", `sparse tensor: ${problem}`, details);
  const elements = shape.every((size) => Number.isSafeInteger(size) && size > 0) ? elementCount(shape) : undefined;
  const bits = DTYPE_BITS[dtype];
  if (elements === undefined || shape.length === 0 || !Number.isSafeInteger(elements * bits)) {
    throw new FormatError("INVALID_SHAPE", `sparse tensor: expected sizes above 0, got ${formatShape(shape)}`, details);
  }
  if (bits % 8 !== 0 || bits === 0)
    throw new UnsupportedError("UNSUPPORTED_DTYPE", `a sparse tensor of ${dtype}`, details);
  const count = values.shape[0] ?? 0;
  if (values.shape.length !== 1) throw invalid(`expected values [n], got ${formatShape(values.shape)}`);
  const isLinear = indices.shape.length === 1;
  const fits =
    indices.shape[0] === count && (isLinear || (indices.shape.length === 2 && indices.shape[1] === shape.length));
  if (indices.dtype !== "i64" || !fits) {
    throw invalid(
      `expected indices i64 [${count}] or [${count}, ${shape.length}], got ${indices.dtype} ${formatShape(indices.shape)}`,
    );
  }
  assertSorted(indices, isLinear ? [elements] : shape, invalid);

  const byteLength = (elements * bits) / 8;
  const make = () => scatter(values, linearIndices(indices, isLinear ? [elements] : shape), byteLength, details);
  return { name, dtype, shape, byteLength, source: lazyBytes(make) };
}

function assertSorted(indices: TensorData, sizes: Shape, invalid: (problem: string) => Error): void {
  let last = -1;
  for (const index of linearIndices(indices, sizes)) {
    if (Number.isNaN(index)) throw invalid("an index is out of range");
    if (index <= last) throw invalid("the indices are not ascending");
    last = index;
  }
}

/** Row-major positions; NaN for one that is out of range. */
function linearIndices(indices: TensorData, sizes: Shape): Float64Array {
  if (indices.byteLength > MAX_SMALL_FILE_BYTES) {
    throw new FormatError("HEADER_TOO_LARGE", `${indices.byteLength} bytes of sparse indices`, {
      subject: indices.name,
    });
  }
  const bytes = readTensorBytes(indices);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const positions = new Float64Array(bytes.byteLength / 8 / sizes.length);
  positions.forEach((_, row) => {
    let position = 0;
    sizes.forEach((size, axis) => {
      const index = Number(view.getBigInt64((row * sizes.length + axis) * 8, true));
      position = index >= 0 && index < size ? position * size + index : Number.NaN;
    });
    positions[row] = position;
  });
  return positions;
}

function scatter(
  values: TensorData,
  positions: Float64Array,
  byteLength: number,
  details: { readonly file: string; readonly subject: string },
): Uint8Array {
  let dense: Uint8Array;
  try {
    dense = new Uint8Array(byteLength);
  } catch (cause) {
    throw new MemoryError(`a sparse tensor takes ${byteLength} bytes when it is dense`, { ...details, cause });
  }
  const bytes = readTensorBytes(values);
  const width = DTYPE_BITS[values.dtype] / 8;
  positions.forEach((position, row) => {
    dense.set(bytes.subarray(row * width, (row + 1) * width), position * width);
  });
  return dense;
}
