/**
 * The 22 dtypes of safetensors 0.8 and the dtypes of the program, both ways.
 */

import type { Dtype } from "../../core/dtype.ts";

/** In the order of the reference's enum, which is also the order of alignment: the writer sorts by it, descending. */
export const SAFETENSORS_DTYPES = {
  BOOL: "bool",
  F4: "f4_e2m1",
  F6_E2M3: "f6_e2m3",
  F6_E3M2: "f6_e3m2",
  U8: "u8",
  I8: "i8",
  F8_E5M2: "f8_e5m2",
  F8_E4M3: "f8_e4m3fn",
  F8_E8M0: "f8_e8m0",
  F8_E4M3FNUZ: "f8_e4m3fnuz",
  F8_E5M2FNUZ: "f8_e5m2fnuz",
  I16: "i16",
  U16: "u16",
  F16: "f16",
  BF16: "bf16",
  I32: "i32",
  U32: "u32",
  F32: "f32",
  C64: "c64",
  F64: "f64",
  I64: "i64",
  U64: "u64",
} as const satisfies Record<string, Dtype>;

export type SafetensorsDtype = keyof typeof SAFETENSORS_DTYPES;

/** Names as they stand in the file; `undefined` for dtypes that the format cannot hold. */
export const SAFETENSORS_NAMES: Readonly<Record<Dtype, SafetensorsDtype | undefined>> = {
  bool: "BOOL",
  u2: undefined,
  i2: undefined,
  u4: undefined,
  i4: undefined,
  f4_e2m1: "F4",
  f6_e2m3: "F6_E2M3",
  f6_e3m2: "F6_E3M2",
  u8: "U8",
  i8: "I8",
  f8_e5m2: "F8_E5M2",
  f8_e4m3fn: "F8_E4M3",
  f8_e8m0: "F8_E8M0",
  f8_e4m3fnuz: "F8_E4M3FNUZ",
  f8_e5m2fnuz: "F8_E5M2FNUZ",
  i16: "I16",
  u16: "U16",
  f16: "F16",
  bf16: "BF16",
  i32: "I32",
  u32: "U32",
  f32: "F32",
  c64: "C64",
  f64: "F64",
  i64: "I64",
  u64: "U64",
  c128: undefined,
  string: undefined,
};

const NAMES = Object.keys(SAFETENSORS_DTYPES) as SafetensorsDtype[];

/** Place in the reference's enum. */
export function dtypeOrdinal(dtype: Dtype): number {
  const name = SAFETENSORS_NAMES[dtype];
  return name === undefined ? -1 : NAMES.indexOf(name);
}

const BY_NAME: ReadonlyMap<string, Dtype> = new Map(Object.entries(SAFETENSORS_DTYPES));

/** Exact, case-sensitive match. */
export function parseDtype(name: string): Dtype | undefined {
  return BY_NAME.get(name);
}
