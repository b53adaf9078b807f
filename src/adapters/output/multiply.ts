/**
 * Multiplies stored numbers by a factor in double precision and rounds each once, to nearest even, to the dtype that it
 * has; says how many the rounding changed and by how much.
 *
 * Dtypes of 8 and 16 bits go through a table of their products, filled as codes turn up.
 */

import { decodeElement, encodeElement } from "../../core/cast/float-codec.ts";
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

/** A function that multiplies numbers of one dtype by one factor. */
export function multiplier(dtype: FloatDtype, factor: number): Multiply {
  if (dtype === "f32") return (bytes) => multiplyF32(bytes, factor);
  if (dtype === "f64") return (bytes) => multiplyF64(bytes, factor);
  return throughTable(dtype, factor);
}

export const NO_ROUNDING: Rounding = { elements: 0, rounded: 0, largestError: 0, nonFinite: 0 };

export function addRounding(a: Rounding, b: Rounding): Rounding {
  return {
    elements: a.elements + b.elements,
    rounded: a.rounded + b.rounded,
    largestError: Math.max(a.largestError, b.largestError),
    nonFinite: a.nonFinite + b.nonFinite,
  };
}

function multiplyF32(bytes: Uint8Array, factor: number): Rounding {
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  let [rounded, largestError, nonFinite] = [0, 0, 0];
  for (let index = 0; index < values.length; index++) {
    const product = factor * (values[index] ?? 0);
    const result = Math.fround(product);
    values[index] = result;
    if (!Number.isFinite(result)) nonFinite++;
    else if (result !== product) {
      rounded++;
      largestError = Math.max(largestError, Math.abs((result - product) / product));
    }
  }
  return { elements: values.length, rounded, largestError, nonFinite };
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

function throughTable(dtype: Exclude<FloatDtype, "f32" | "f64">, factor: number): Multiply {
  const width = floatBytes(dtype);
  const codes = 2 ** (8 * width);
  const ArrayType = width === 1 ? Uint8Array : Uint16Array;
  const table = new ArrayType(codes);
  /** Relative error of each product; -1: not known yet, NaN: not finite. */
  const errors = new Float64Array(codes).fill(-1);
  const element = new ArrayType(1);
  const elementBytes = new Uint8Array(element.buffer);
  const fill = (code: number): number => {
    element[0] = code;
    const product = factor * decodeElement(dtype, elementBytes, 0);
    encodeElement(dtype, product, elementBytes, 0);
    table[code] = element[0] ?? 0;
    const result = decodeElement(dtype, elementBytes, 0);
    const error = result === product ? 0 : Math.abs((result - product) / product);
    errors[code] = Number.isFinite(result) ? error : Number.NaN;
    return errors[code];
  };
  return (bytes) => {
    const { buffer, byteOffset, length } = bytes;
    const values = width === 1 ? bytes : new Uint16Array(buffer, byteOffset, length / 2);
    let [rounded, largestError, nonFinite] = [0, 0, 0];
    for (let index = 0; index < values.length; index++) {
      const code = values[index] ?? 0;
      let error = errors[code] ?? 0;
      if (error < 0) error = fill(code);
      values[index] = table[code] ?? 0;
      if (error === 0) continue;
      if (Number.isNaN(error)) nonFinite++;
      else {
        rounded++;
        if (error > largestError) largestError = error;
      }
    }
    return { elements: values.length, rounded, largestError, nonFinite };
  };
}
