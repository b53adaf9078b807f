import { describe, expect, test } from "vitest";
import { createKernels, type RoundingCounts } from "../../../src/core/cast/kernels.ts";
import { FLOAT_DTYPES, type FloatDtype, floatBytes } from "../../../src/core/dtype.ts";
import { fillNormal, philoxKey } from "../../../src/core/random.ts";
import { bitsOf, bytesOfCodes, OVERFLOW_CODE, SMALL_DTYPES } from "./float-grid.ts";

const LENGTHS = [...Array.from({ length: 68 }, (_, length) => length), 4_096, 4_097, 20_011];
const kernels = createKernels({ bytes: 1_000_000 });
const pool = kernels.allocate(1_000_000);

function narrowed(dtype: FloatDtype, source: Float32Array): Uint8Array {
  const target = new Uint8Array(source.length * floatBytes(dtype));
  kernels.narrow(dtype, source, target);
  return target;
}

/** Values as they are stored in `dtype`, and after deltas: none, small, large, overflowing and NaN. */
function makeCase(dtype: FloatDtype, length: number): { before: Float32Array; source: Float32Array } {
  const before = new Float32Array(length);
  fillNormal(before, philoxKey(length, "before"), 0);
  kernels.widen(dtype, narrowed(dtype, before.slice()), before);
  const deltas = new Float32Array(length);
  fillNormal(deltas, philoxKey(length, "deltas"), 0);
  const sizes = [0, 1e-9, 2 ** -9, 2 ** -4, 1, 0];
  const source = before.map((value, index) => value + (deltas[index] ?? 0) * (sizes[index % sizes.length] ?? 0));
  for (const [index, odd] of [
    [7, Number.NaN],
    [20, 1e38],
    [33, Number.NEGATIVE_INFINITY],
    [40, -0],
  ] as const) {
    if (index < length) source[index] = odd;
  }
  if (length > 50) before[50] = source[50] = Number.POSITIVE_INFINITY;
  return { before, source };
}

/** The definition, element by element. */
function countsOf(dtype: FloatDtype, before: Float32Array, source: Float32Array): RoundingCounts {
  const [old, next] = [narrowed(dtype, before), narrowed(dtype, source)];
  const final = new Float32Array(source.length);
  kernels.widen(dtype, next, final);
  const [beforeBits, sourceBits] = [bitsOf(before), bitsOf(source)];
  const counts = { changed: 0, lost: 0, nonFinite: 0 };
  const width = floatBytes(dtype);
  for (const [index, value] of final.entries()) {
    const [from, to] = [index * width, (index + 1) * width];
    const same = Buffer.compare(old.subarray(from, to), next.subarray(from, to)) === 0;
    if (!same) counts.changed++;
    if (same && beforeBits[index] !== sourceBits[index]) counts.lost++;
    if (!Number.isFinite(value)) counts.nonFinite++;
  }
  return counts;
}

/** The same numbers inside the kernels' memory. */
function inside(values: Float32Array, offset: number): Float32Array {
  const view = new Float32Array(pool.buffer, pool.byteOffset + offset, values.length);
  view.set(values);
  return view;
}

describe.each(FLOAT_DTYPES)("narrowCounting to %s", (dtype) => {
  test.each(LENGTHS)("rounds and counts %i elements as the definition does, whatever the views", (length) => {
    const { before, source } = makeCase(dtype, length);
    const expected = countsOf(dtype, before, source);
    const bytes = narrowed(dtype, source);
    const original = narrowed(dtype, before);

    const target = new Uint8Array(bytes.byteLength);
    expect(kernels.narrowCounting(dtype, source, before, target)).toEqual(expected);
    expect(Buffer.compare(target, bytes)).toBe(0);

    target.fill(0);
    expect(kernels.narrowCounting(dtype, source, before, target, original)).toEqual(expected);
    expect(Buffer.compare(target, bytes)).toBe(0);

    // As a merge calls it: everything in place, and the original bytes overwritten.
    const tile = pool.subarray(200_000, 200_000 + bytes.byteLength);
    tile.set(original);
    expect(kernels.narrowCounting(dtype, inside(source, 0), inside(before, 100_000), tile, tile)).toEqual(expected);
    expect(Buffer.compare(tile, bytes)).toBe(0);
  });
});

describe("what the counts mean", () => {
  test("a delta below half a step of bf16 is lost, one above it changes the element", () => {
    const before = Float32Array.of(1, 1, 1, 1);
    const source = Float32Array.of(1, 1 + 2 ** -9, 1 + 2 ** -7, 1 - 2 ** -12);
    const counts = kernels.narrowCounting("bf16", source, before, new Uint8Array(8));
    expect(counts).toEqual({ changed: 1, lost: 2, nonFinite: 0 });
  });

  test("another output dtype counts against what the values before would round to", () => {
    // Neither value is a bf16; both round to 1.
    const before = Float32Array.of(1 + 2 ** -12);
    const counts = kernels.narrowCounting("bf16", Float32Array.of(1 + 2 ** -11), before, new Uint8Array(2));
    expect(counts).toEqual({ changed: 0, lost: 1, nonFinite: 0 });
  });

  test.each(FLOAT_DTYPES)("NaN, and in a narrow dtype overflow, is not finite in %s", (dtype) => {
    const source = Float32Array.of(Number.NaN, 3e38, 1);
    const target = new Uint8Array(3 * floatBytes(dtype));
    // 3e38 is finite in f64, f32 and bf16.
    const expected = ["f64", "f32", "bf16"].includes(dtype) ? 1 : 2;
    expect(kernels.narrowCounting(dtype, source, new Float32Array(3), target).nonFinite).toBe(expected);
  });

  test.each(SMALL_DTYPES)("of all codes of %s, exactly the infinities and NaNs are not finite", (dtype) => {
    const codes = Array.from({ length: 2 ** (8 * floatBytes(dtype)) }, (_, code) => code);
    const values = new Float32Array(codes.length);
    kernels.widen(dtype, bytesOfCodes(dtype, codes), values);
    const target = new Uint8Array(codes.length * floatBytes(dtype));
    const signBit = codes.length / 2;
    expect(kernels.narrowCounting(dtype, values, values, target)).toEqual({
      changed: 0,
      lost: 0,
      nonFinite: 2 * (signBit - OVERFLOW_CODE[dtype]),
    });
  });

  test("a change of sign of zero is a change", () => {
    const counts = kernels.narrowCounting("f16", Float32Array.of(-0), Float32Array.of(0), new Uint8Array(2));
    expect(counts).toEqual({ changed: 1, lost: 0, nonFinite: 0 });
  });
});
