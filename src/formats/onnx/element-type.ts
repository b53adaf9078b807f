/**
 * The element types of ONNX tensors: `TensorProto.DataType` of IR 14 (onnx 1.23), 28 codes, one for each dtype.
 *
 * Codes above 16 came later: 17–20 with IR 9, 21–22 with IR 10, 23 with IR 11, 24 with IR 12, 25–26 with IR 13, 27–28 with
 * IR 14. Code 0 (UNDEFINED) is no type.
 */

import type { Dtype } from "../../core/dtype.ts";

const ELEMENT_TYPE_DTYPES = {
  1: "f32",
  2: "u8",
  3: "i8",
  4: "u16",
  5: "i16",
  6: "i32",
  7: "i64",
  8: "string",
  9: "bool",
  10: "f16",
  11: "f64",
  12: "u32",
  13: "u64",
  14: "c64",
  15: "c128",
  16: "bf16",
  17: "f8_e4m3fn",
  18: "f8_e4m3fnuz",
  19: "f8_e5m2",
  20: "f8_e5m2fnuz",
  21: "u4",
  22: "i4",
  23: "f4_e2m1",
  24: "f8_e8m0",
  25: "u2",
  26: "i2",
  27: "f6_e2m3",
  28: "f6_e3m2",
} as const satisfies Record<number, Dtype>;

/** A code that ONNX defines. */
export type ElementType = keyof typeof ELEMENT_TYPE_DTYPES;

/** The ONNX code of each dtype. */
export const DTYPE_ELEMENT_TYPES: Readonly<Record<Dtype, ElementType>> = {
  f32: 1,
  u8: 2,
  i8: 3,
  u16: 4,
  i16: 5,
  i32: 6,
  i64: 7,
  string: 8,
  bool: 9,
  f16: 10,
  f64: 11,
  u32: 12,
  u64: 13,
  c64: 14,
  c128: 15,
  bf16: 16,
  f8_e4m3fn: 17,
  f8_e4m3fnuz: 18,
  f8_e5m2: 19,
  f8_e5m2fnuz: 20,
  u4: 21,
  i4: 22,
  f4_e2m1: 23,
  f8_e8m0: 24,
  u2: 25,
  i2: 26,
  f6_e2m3: 27,
  f6_e3m2: 28,
};

const DTYPES: ReadonlyMap<number, Dtype> = new Map(
  Object.entries(ELEMENT_TYPE_DTYPES).map(([code, dtype]) => [Number(code), dtype]),
);

/** The dtype of a code found in a file; `undefined` when ONNX IR 14 does not define it. */
export function dtypeOfElementType(code: number): Dtype | undefined {
  return DTYPES.get(code);
}
