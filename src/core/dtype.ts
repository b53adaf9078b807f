/**
 * The element types of tensors: one closed set for every format.
 *
 * Names are lower case and independent of any format; each format maps its own codes onto them with a complete
 * `Record` (safetensors 0.8: 22 dtypes, ONNX IR 14: 26 element types). Sizes are in bits, because some are below a byte.
 */

import { productOf, type Shape } from "./shape.ts";

export const DTYPE_BITS = {
  bool: 8,
  u2: 2,
  i2: 2,
  u4: 4,
  i4: 4,
  f4_e2m1: 4,
  f6_e2m3: 6,
  f6_e3m2: 6,
  u8: 8,
  i8: 8,
  f8_e5m2: 8,
  f8_e4m3fn: 8,
  f8_e8m0: 8,
  f8_e4m3fnuz: 8,
  f8_e5m2fnuz: 8,
  i16: 16,
  u16: 16,
  f16: 16,
  bf16: 16,
  i32: 32,
  u32: 32,
  f32: 32,
  c64: 64,
  f64: 64,
  i64: 64,
  u64: 64,
  c128: 128,
  /** Variable length: only ONNX has it, and only as typed values inside the file. */
  string: 0,
} as const;

export type Dtype = keyof typeof DTYPE_BITS;

/** The dtypes that the program computes with; every other one only passes through. */
export const FLOAT_DTYPES = ["f64", "f32", "f16", "bf16", "f8_e4m3fn", "f8_e5m2"] as const;

export type FloatDtype = (typeof FLOAT_DTYPES)[number];

/** Whether arithmetic is defined for the dtype here; see `FLOAT_DTYPES`. */
export function isFloatDtype(dtype: Dtype): dtype is FloatDtype {
  return (FLOAT_DTYPES as readonly Dtype[]).includes(dtype);
}

/** Bytes of a tensor whose shape was checked, its last byte filled up. */
export function tensorBytes({ dtype, shape }: { readonly dtype: Dtype; readonly shape: Shape }): number {
  return Math.ceil((productOf(shape) * DTYPE_BITS[dtype]) / 8);
}

/** Bytes of one element of a float dtype. */
export function floatBytes(dtype: FloatDtype): number {
  return DTYPE_BITS[dtype] / 8;
}
