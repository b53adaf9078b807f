/**
 * The element types of ggml (ggml.h, 2026) and how many bytes a block of elements takes. Types that the program computes
 * with have a dtype; quantised ones are known by name and size only.
 */

import type { Dtype } from "../../core/dtype.ts";

export interface GgmlType {
  readonly name: string;
  /** Elements in a block, along the innermost dimension. */
  readonly block: number;
  readonly bytes: number;
  readonly dtype?: Dtype;
}

function plain(name: string, bytes: number, dtype: Dtype): GgmlType {
  return { name, block: 1, bytes, dtype };
}

function quantised(name: string, block: number, bytes: number): GgmlType {
  return { name, block, bytes };
}

/** By code; 4 and 5 (q4_2, q4_3) and 31 to 33, 36 to 38 were removed. */
export const GGML_TYPES: ReadonlyMap<number, GgmlType> = new Map([
  [0, plain("f32", 4, "f32")],
  [1, plain("f16", 2, "f16")],
  [2, quantised("q4_0", 32, 18)],
  [3, quantised("q4_1", 32, 20)],
  [6, quantised("q5_0", 32, 22)],
  [7, quantised("q5_1", 32, 24)],
  [8, quantised("q8_0", 32, 34)],
  [9, quantised("q8_1", 32, 40)],
  [10, quantised("q2_k", 256, 84)],
  [11, quantised("q3_k", 256, 110)],
  [12, quantised("q4_k", 256, 144)],
  [13, quantised("q5_k", 256, 176)],
  [14, quantised("q6_k", 256, 210)],
  [15, quantised("q8_k", 256, 292)],
  [16, quantised("iq2_xxs", 256, 66)],
  [17, quantised("iq2_xs", 256, 74)],
  [18, quantised("iq3_xxs", 256, 98)],
  [19, quantised("iq1_s", 256, 50)],
  [20, quantised("iq4_nl", 32, 18)],
  [21, quantised("iq3_s", 256, 110)],
  [22, quantised("iq2_s", 256, 82)],
  [23, quantised("iq4_xs", 256, 136)],
  [24, plain("i8", 1, "i8")],
  [25, plain("i16", 2, "i16")],
  [26, plain("i32", 4, "i32")],
  [27, plain("i64", 8, "i64")],
  [28, plain("f64", 8, "f64")],
  [29, quantised("iq1_m", 256, 56)],
  [30, plain("bf16", 2, "bf16")],
  [34, quantised("tq1_0", 256, 54)],
  [35, quantised("tq2_0", 256, 66)],
  [39, quantised("mxfp4", 32, 17)],
  [40, quantised("nvfp4", 64, 36)],
  [41, quantised("q1_0", 128, 18)],
]);
