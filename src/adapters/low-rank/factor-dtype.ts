/**
 * The dtype that new factors get.
 */

import { type FloatDtype, isFloatDtype } from "../../core/dtype.ts";
import type { TensorData } from "../../formats/tensor-store.ts";

/** What `--dtype` takes for factors; `keep`: what the old ones have. */
export const FACTOR_DTYPES = ["keep", "f32", "f16", "bf16"] as const;
export type FactorDtypeWish = (typeof FACTOR_DTYPES)[number];

/** f64 becomes f32, in which factors are read; dtypes of 8 bits, which PEFT does not train, become f32 too. */
export function factorDtype(wish: FactorDtypeWish, before: readonly TensorData[]): FloatDtype {
  if (wish !== "keep") return wish;
  const [first, ...others] = before.map(({ dtype }) => dtype);
  if (first === undefined || !isFloatDtype(first) || others.some((dtype) => dtype !== first)) return "f32";
  return first === "bf16" || first === "f16" ? first : "f32";
}
