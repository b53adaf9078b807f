import { decodeElement } from "../../src/core/cast/float-codec.ts";
import { floatBytes, isFloatDtype } from "../../src/core/dtype.ts";
import { readTensorBytes } from "../../src/formats/byte-source.ts";
import type { TensorData } from "../../src/formats/tensor-store.ts";

/** All numbers of a float tensor, exactly. */
export function numbersOf(tensor: TensorData): Float64Array {
  const { dtype } = tensor;
  if (!isFloatDtype(dtype)) throw new Error(`${tensor.name} is ${dtype}`);
  const bytes = readTensorBytes(tensor);
  return Float64Array.from({ length: bytes.length / floatBytes(dtype) }, (_, index) =>
    decodeElement(dtype, bytes, index * floatBytes(dtype)),
  );
}

/** All numbers of an i64 tensor. */
export function integersOf(tensor: TensorData): BigInt64Array {
  return new BigInt64Array(new Uint8Array(readTensorBytes(tensor)).slice().buffer);
}
