/**
 * Tensors ⇄ the tensors of onnxruntime-node, around the same memory.
 */

import { Tensor } from "onnxruntime-node";
import type { EngineDtype, EngineTensor } from "./tensor.ts";

const ORT_TYPES = {
  f32: "float32",
  f64: "float64",
  i8: "int8",
  i16: "int16",
  i32: "int32",
  i64: "int64",
  u8: "uint8",
  u16: "uint16",
  u32: "uint32",
  u64: "uint64",
  bool: "bool",
} as const satisfies Record<EngineDtype, Tensor.Type>;

const DTYPES: ReadonlyMap<string, EngineDtype> = new Map(
  (Object.keys(ORT_TYPES) as EngineDtype[]).map((dtype) => [ORT_TYPES[dtype], dtype]),
);

export function toOrtTensor(tensor: EngineTensor): Tensor {
  return new Tensor(ORT_TYPES[tensor.dtype], tensor.data, tensor.shape);
}

/** The result's own memory, not a copy. */
export function fromOrtTensor(tensor: Tensor): EngineTensor {
  const dtype = DTYPES.get(tensor.type);
  if (dtype === undefined) throw new Error(`onnxruntime-node gave a tensor of type ${tensor.type}`);
  return { dtype, shape: tensor.dims, data: tensor.data } as EngineTensor;
}
