/**
 * Values of a running graph. TensorFlow.js computes in f32, i32 and bool; integers of 64 bits are i32 there, and each one is
 * checked to fit where it enters.
 */

import type { Tensor } from "@tensorflow/tfjs-core";
import type { Dtype } from "../../core/dtype.ts";
import { UnsupportedError } from "../../core/errors.ts";
import type { Shape } from "../../core/shape.ts";
import { readTensorBytes } from "../../formats/byte-source.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { EngineTensor } from "../tensor.ts";
import type { Tfjs } from "./backend.ts";

/** The dtypes that can be computed with, each with what TensorFlow.js calls it. */
export const TFJS_DTYPES = { f32: "float32", i32: "int32", i64: "int32", bool: "bool" } as const;

export type TfjsDtype = keyof typeof TFJS_DTYPES;

/** @throws {UnsupportedError} UNSUPPORTED_DTYPE for a dtype that TensorFlow.js does not have */
export function assertDtype(dtype: Dtype, subject: string): asserts dtype is TfjsDtype {
  if (Object.hasOwn(TFJS_DTYPES, dtype)) return;
  throw new UnsupportedError("UNSUPPORTED_DTYPE", `engine tfjs computes in f32, i32, i64 and bool, got ${dtype}`, {
    subject,
    hint: "use --engine onnxruntime",
  });
}

/** Integers stay numbers until an operation needs them as a tensor: sizes and axes may be beyond 32 bits. */
export class TfjsValue {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: Shape;
  readonly #tf: Tfjs;
  #tensor: Tensor | undefined;
  #integers: readonly number[] | undefined;

  constructor(
    tf: Tfjs,
    name: string,
    dtype: Dtype,
    content: { shape: Shape } & ({ tensor: Tensor } | { integers: readonly number[] }),
  ) {
    this.#tf = tf;
    this.name = name;
    this.dtype = dtype;
    this.shape = content.shape;
    if ("tensor" in content) this.#tensor = content.tensor;
    else this.#integers = content.integers;
  }

  get tensor(): Tensor {
    if (this.#tensor === undefined) {
      const data = toInt32(this.#integers ?? [], this.name);
      // A kernel may ask for it, whose other tensors are freed when it ends.
      this.#tensor = this.#tf.keep(this.#tf.tensor(data, [...this.shape], "int32"));
    }
    return this.#tensor;
  }

  get integers(): readonly number[] {
    this.#integers ??= Array.from(this.tensor.dataSync());
    return this.#integers;
  }

  dispose(): void {
    this.#tensor?.dispose();
  }
}

export function fromEngineTensor(tf: Tfjs, name: string, { dtype, shape, data }: EngineTensor): TfjsValue {
  assertDtype(dtype, name);
  if (data instanceof BigInt64Array)
    return new TfjsValue(tf, name, dtype, { shape, integers: Array.from(data, Number) });
  // Not copied in plain JavaScript: results that share its memory are copied before anything is written (`readValue`).
  const numbers = data as Float32Array | Int32Array | Uint8Array;
  return new TfjsValue(tf, name, dtype, { shape, tensor: tf.tensor(numbers, [...shape], TFJS_DTYPES[dtype]) });
}

/** A weight or constant of the graph, copied out of its file or memory. */
export function fromInitialiser(tf: Tfjs, tensor: TensorData): TfjsValue {
  const { name, dtype, shape } = tensor;
  assertDtype(dtype, name);
  const { buffer } = readTensorBytes(tensor).slice();
  const data = { f32: Float32Array, i32: Int32Array, i64: BigInt64Array, bool: Uint8Array }[dtype];
  return fromEngineTensor(tf, name, { dtype, shape, data: new data(buffer) } as EngineTensor);
}

/** A result in memory of its own. */
export async function readValue({ dtype, shape, tensor }: TfjsValue): Promise<EngineTensor> {
  const data = await tensor.data();
  return { dtype, shape, data: dtype === "i64" ? BigInt64Array.from(data, BigInt) : data.slice() } as EngineTensor;
}

/** Copies a result into the tensor that the caller wants it in. */
export function writeInto(target: EngineTensor, result: EngineTensor): EngineTensor {
  if (target.dtype !== result.dtype || target.data.length !== result.data.length) {
    throw new Error(`a result is ${result.dtype} [${result.shape}], its target ${target.dtype} [${target.shape}]`);
  }
  // Of one dtype, so of one type of array.
  (target.data as Float32Array).set(result.data as Float32Array);
  return target;
}

function toInt32(integers: readonly number[], subject: string): Int32Array {
  const wide = integers.find((integer) => integer !== (integer | 0));
  if (wide === undefined) return Int32Array.from(integers);
  throw new UnsupportedError("UNSUPPORTED_DTYPE", `engine tfjs has integers of 32 bits only, got ${wide}`, {
    subject,
    hint: "use --engine onnxruntime",
  });
}
