/**
 * Multiplies stored numbers by a factor in double precision and rounds each once, to nearest even, to the dtype that it
 * has; says how many the rounding changed and by how much.
 *
 * f32, bf16 and f16 by the kernels in WebAssembly; dtypes of 8 bits by a table of their products.
 */

import { decodeElement, encodeElement } from "../../core/cast/float-codec.ts";
import type { Kernels } from "../../core/cast/kernels.ts";
import { type FloatDtype, floatBytes } from "../../core/dtype.ts";

export interface Rounding {
  readonly elements: number;
  /** Elements that are not exactly the product. */
  readonly rounded: number;
  /** The largest error, relative to the product. */
  readonly largestError: number;
  /** Elements that are infinite or NaN. */
  readonly nonFinite: number;
}

/** Multiplies whole elements in place, little-endian; the bytes start at a multiple of 8 of their buffer. */
export type Multiply = (bytes: Uint8Array) => Rounding;

/** A function that multiplies numbers of one dtype by one factor; fastest on bytes in the kernels' own memory. */
export function multiplier(dtype: FloatDtype, factor: number, kernels: Kernels): Multiply {
  if (dtype === "f32" || dtype === "bf16" || dtype === "f16") {
    return (bytes) => ({ elements: bytes.byteLength / floatBytes(dtype), ...kernels.multiply(dtype, bytes, factor) });
  }
  if (dtype === "f64") return (bytes) => multiplyF64(bytes, factor);
  return throughTable(dtype, factor);
}

export const NO_ROUNDING: Rounding = { elements: 0, rounded: 0, largestError: 0, nonFinite: 0 };

/** Of all tensors together. */
export function sumRoundings(roundings: ReadonlyMap<string, Rounding>): Rounding {
  return [...roundings.values()].reduce(addRounding, NO_ROUNDING);
}

export function addRounding(a: Rounding, b: Rounding): Rounding {
  return {
    elements: a.elements + b.elements,
    rounded: a.rounded + b.rounded,
    largestError: Math.max(a.largestError, b.largestError),
    nonFinite: a.nonFinite + b.nonFinite,
  };
}

function multiplyF64(bytes: Uint8Array, factor: number): Rounding {
  const values = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
  let [rounded, largestError, nonFinite] = [0, 0, 0];
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? 0;
    const product = factor * value;
    values[index] = product;
    if (!Number.isFinite(product)) {
      nonFinite++;
      continue;
    }
    const error = Math.abs(productError(factor, value, product));
    if (error === 0) continue;
    rounded++;
    largestError = Math.max(largestError, error / Math.abs(product));
  }
  return { elements: values.length, rounded, largestError, nonFinite };
}

/** What rounding took from a product of two doubles, exactly (Dekker 1971), where nothing over- or underflows. */
function productError(a: number, b: number, product: number): number {
  const [aHigh, bHigh] = [highHalf(a), highHalf(b)];
  const [aLow, bLow] = [a - aHigh, b - bHigh];
  return aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow;
}

/** The upper 26 bits of a double's mantissa (Veltkamp). */
function highHalf(value: number): number {
  const scaled = value * (2 ** 27 + 1);
  return scaled - (scaled - value);
}

/** One byte: all products at once. */
function throughTable(dtype: "f8_e4m3fn" | "f8_e5m2", factor: number): Multiply {
  const codes = Array.from({ length: 256 }, (_, code) => {
    const bytes = Uint8Array.of(code);
    const product = factor * decodeElement(dtype, bytes, 0);
    encodeElement(dtype, product, bytes, 0);
    const result = decodeElement(dtype, bytes, 0);
    const error = result === product ? 0 : Math.abs((result - product) / product);
    return { code: bytes[0] ?? 0, error, finite: Number.isFinite(result) };
  });
  return (bytes) => {
    let [rounded, largestError, nonFinite] = [0, 0, 0];
    for (const [index, value] of bytes.entries()) {
      const { code = 0, error = 0, finite = true } = codes[value] ?? {};
      bytes[index] = code;
      if (!finite) nonFinite++;
      else if (error > 0) {
        rounded++;
        largestError = Math.max(largestError, error);
      }
    }
    return { elements: bytes.length, rounded, largestError, nonFinite };
  };
}
