/**
 * A value that is known before the graph runs: its numbers are read from the file, or computed, only when they are needed.
 *
 * Numbers are f64 here, whatever their dtype: exact for all dtypes but i64 and u64 beyond 2⁵³, where real graphs hold
 * only the ends of the range, as "to the end" of a Slice; they are written back saturated.
 */

import { decodeElement } from "../../core/cast/float-codec.ts";
import { createKernels } from "../../core/cast/kernels.ts";
import { DTYPE_BITS, type Dtype, floatBytes, isFloatDtype } from "../../core/dtype.ts";
import { UnsupportedError } from "../../core/errors.ts";
import { elementCount, type Shape } from "../../core/shape.ts";
import { readTensorBytes } from "../../formats/byte-source.ts";
import { lazyBytes } from "../../formats/onnx/lazy.ts";
import { placeOf, type TensorData } from "../../formats/tensor-store.ts";
import type { Value } from "../call.ts";

/** The dtype that floats of other widths are computed in. */
export function promoted(dtype: Dtype): Dtype {
  return dtype === "f16" || dtype === "bf16" || dtype === "f64" ? "f32" : dtype;
}

type IntegerArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** How integers lie in memory. */
const INTEGERS: Partial<Record<Dtype, (bytes: ArrayBuffer) => IntegerArray>> = {
  bool: (bytes) => new Uint8Array(bytes),
  u8: (bytes) => new Uint8Array(bytes),
  i8: (bytes) => new Int8Array(bytes),
  u16: (bytes) => new Uint16Array(bytes),
  i16: (bytes) => new Int16Array(bytes),
  u32: (bytes) => new Uint32Array(bytes),
  i32: (bytes) => new Int32Array(bytes),
  u64: (bytes) => new BigUint64Array(bytes),
  i64: (bytes) => new BigInt64Array(bytes),
};

export class Constant implements Value {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: Shape;
  #numbers: Float64Array | undefined;
  #tensor: TensorData | undefined;

  private constructor(name: string, dtype: Dtype, shape: Shape) {
    this.name = name;
    this.dtype = dtype;
    this.shape = shape;
  }

  static fromNumbers(name: string, dtype: Dtype, shape: Shape, numbers: Float64Array): Constant {
    const constant = new Constant(name, dtype, shape);
    constant.#numbers = numbers;
    return constant;
  }

  /** A tensor of a graph; f16, bf16 and f64 become f32. */
  static fromTensor(name: string, tensor: TensorData): Constant {
    const dtype = promoted(tensor.dtype);
    const constant = new Constant(name, dtype, tensor.shape);
    constant.#tensor = dtype === tensor.dtype ? { ...tensor, name } : widened(name, tensor);
    return constant;
  }

  get elements(): number {
    return elementCount(this.shape) ?? Number.POSITIVE_INFINITY;
  }

  /** @throws {UnsupportedError} UNSUPPORTED_DTYPE for codes below a byte, texts and complex numbers */
  get numbers(): Float64Array {
    this.#numbers ??= decode(this.tensor);
    return this.#numbers;
  }

  get tensor(): TensorData {
    this.#tensor ??= encode(this, this.numbers);
    return this.#tensor;
  }
}

function widened(name: string, tensor: TensorData): TensorData {
  const { dtype, shape } = tensor;
  const count = elementCount(shape) ?? 0;
  const source = lazyBytes(() => {
    const numbers = new Float32Array(count);
    if (isFloatDtype(dtype)) createKernels().widen(dtype, readTensorBytes(tensor), numbers);
    return new Uint8Array(numbers.buffer);
  });
  return { name, dtype: "f32", shape, byteLength: 4 * count, source };
}

function decode(tensor: TensorData): Float64Array {
  const { dtype } = tensor;
  const bytes = readTensorBytes(tensor).slice();
  if (isFloatDtype(dtype)) {
    const width = floatBytes(dtype);
    return Float64Array.from({ length: bytes.length / width }, (_, index) =>
      decodeElement(dtype, bytes, index * width),
    );
  }
  const view = INTEGERS[dtype];
  if (view === undefined) {
    throw new UnsupportedError("UNSUPPORTED_DTYPE", `cannot compute with ${dtype}`, placeOf(tensor));
  }
  return Float64Array.from(view(bytes.buffer) as ArrayLike<number | bigint>, Number);
}

function encode({ name, dtype, shape }: Constant, numbers: Float64Array): TensorData {
  const bytes = new Uint8Array((numbers.length * DTYPE_BITS[dtype]) / 8);
  if (dtype === "f32") new Float32Array(bytes.buffer).set(numbers);
  else {
    const view = INTEGERS[dtype]?.(bytes.buffer);
    if (view === undefined) throw new Error(`no constant of ${dtype}`);
    const [lowest, highest] = dtype === "u64" ? [0n, 2n ** 64n - 1n] : [-(2n ** 63n), 2n ** 63n - 1n];
    const wide = (number: number) => {
      const exact = BigInt(number);
      return exact < lowest ? lowest : exact > highest ? highest : exact;
    };
    numbers.forEach((number, index) => {
      view[index] = dtype === "i64" || dtype === "u64" ? wide(number) : number;
    });
  }
  return { name, dtype, shape, byteLength: bytes.length, source: { kind: "memory", bytes } };
}
