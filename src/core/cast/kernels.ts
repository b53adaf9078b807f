/**
 * Bulk casts between f32 and the float dtypes, and the counts of a merge, on WebAssembly SIMD: one `Kernels` a thread.
 *
 * Its memory holds the thread's buffers, so that views from `allocate` are worked on in place; other views are right
 * too and pass through a small scratch area. Rounding is to nearest, ties to even, subnormals included. Overflow is
 * infinity, in f8_e4m3fn NaN, as in ml_dtypes; PyTorch saturates there since its pull request 178817 (2026), which
 * would hide it. NaN keeps its sign and the upper part of its payload and becomes quiet (in f8: all ones), except that
 * widening bf16 keeps all bits.
 */

import { bytesOf } from "../bytes.ts";
import { type FloatDtype, floatBytes } from "../dtype.ts";
import { type KernelCall, KernelMemory, SCRATCH_BYTES } from "./kernel-memory.ts";
import {
  type CountName,
  instantiateKernels,
  type Kernel,
  type KernelInstance,
  type MultiplyName,
  type NarrowName,
  type WidenName,
} from "./kernel-module.ts";

export interface KernelOptions {
  /** Room for all `allocate` calls together, each rounded up to 16 bytes. 0: for casts of other memory only. */
  readonly bytes?: number;
}

/** What rounding did to the elements, compared as bits. */
export interface RoundingCounts {
  /** Elements whose rounded value differs from the rounded value before. */
  readonly changed: number;
  /** Elements whose value differs from the value before, and rounds to the same. */
  readonly lost: number;
  /** Elements that are infinite or NaN once rounded. */
  readonly nonFinite: number;
}

/** What rounding did to products. */
export interface ProductCounts {
  /** Products that are not exact. */
  readonly rounded: number;
  /** The largest error, relative to its product; of 16-bit dtypes to the precision of f32. */
  readonly largestError: number;
  /** Products that are infinite or NaN. */
  readonly nonFinite: number;
}

/** Without a name: a plain copy, or in `count` nothing to round. */
interface DtypeKernels {
  readonly widen?: WidenName;
  readonly narrow?: NarrowName;
  readonly count?: CountName;
}

const DTYPE_KERNELS: Record<FloatDtype, DtypeKernels> = {
  f64: { widen: "widenF64", narrow: "narrowF64" },
  f32: {},
  f16: { widen: "widenF16", narrow: "narrowF16", count: "countF16" },
  bf16: { widen: "widenBf16", narrow: "narrowBf16", count: "countBf16" },
  f8_e4m3fn: { widen: "widenF8E4m3fn", narrow: "narrowF8E4m3fn", count: "countF8E4m3fn" },
  f8_e5m2: { widen: "widenF8E5m2", narrow: "narrowF8E5m2", count: "countF8E5m2" },
};

const MULTIPLY_KERNELS = { f32: "multiplyF32", bf16: "multiplyBf16", f16: "multiplyF16" } as const satisfies Partial<
  Record<FloatDtype, MultiplyName>
>;

/** The dtypes with a kernel that multiplies. */
export type MultipliedDtype = keyof typeof MULTIPLY_KERNELS;

/** Three u32 that the counting kernels write: changed, lost, nonFinite. */
const COUNTS = 3;
/** Three f64 that the multiplying kernel writes: rounded, largestError, nonFinite. */
const RESULTS = 3;
const OWN_BYTES = 4 * COUNTS + 8 * RESULTS + 16;

/**
 * @throws {MemoryError} OUT_OF_MEMORY when the system does not give the memory
 * @throws {FileError} FILE_NOT_FOUND when the program was not built
 */
export function createKernels(options: KernelOptions = {}): Kernels {
  const { bytes = 0 } = options;
  return new Kernels(instantiateKernels(SCRATCH_BYTES + OWN_BYTES + bytes));
}

export class Kernels {
  readonly #exports: KernelInstance["exports"];
  readonly #memory: KernelMemory;
  readonly #counts: Uint32Array;
  readonly #results: Float64Array;

  /** Use `createKernels`. */
  constructor({ exports, buffer, freeFrom }: KernelInstance) {
    this.#exports = exports;
    this.#memory = new KernelMemory(buffer, freeFrom);
    const counts = this.#memory.allocate(4 * COUNTS);
    this.#counts = new Uint32Array(buffer, counts.byteOffset, COUNTS);
    this.#results = new Float64Array(buffer, this.#memory.allocate(8 * RESULTS).byteOffset, RESULTS);
  }

  /**
   * A zeroed view inside the kernels' memory, aligned to 16 bytes and valid for good.
   *
   * @throws {MemoryError} OUT_OF_MEMORY when the `bytes` given to `createKernels` are used up
   */
  allocate(byteLength: number): Uint8Array {
    return this.#memory.allocate(byteLength);
  }

  /** `source`, elements of `dtype` → `target`, as many f32. Exact, but for f64. The views must not overlap. */
  widen(dtype: FloatDtype, source: Uint8Array, target: Float32Array): void {
    checkLength(dtype, source, target);
    const { widen } = DTYPE_KERNELS[dtype];
    if (widen === undefined) bytesOf(target).set(source);
    else this.#memory.run(target.length, [source], [bytesOf(target)], call(this.#exports[widen]));
  }

  /** `source` → `target`, as many elements of `dtype`, each rounded once. The views must not overlap. */
  narrow(dtype: FloatDtype, source: Float32Array, target: Uint8Array): void {
    checkLength(dtype, target, source);
    const { narrow } = DTYPE_KERNELS[dtype];
    if (narrow === undefined) target.set(bytesOf(source));
    else this.#memory.run(source.length, [bytesOf(source)], [target], call(this.#exports[narrow]));
  }

  /**
   * Narrows `source` into `target` and counts what became of the values `before`, all of the same number of elements.
   *
   * `original` holds `before` as elements of `dtype` and may be `target` itself, which is then overwritten; with it a
   * count is about twice as fast. Without it, `before` is rounded first. No other views may overlap.
   */
  narrowCounting(
    dtype: FloatDtype,
    source: Float32Array,
    before: Float32Array,
    target: Uint8Array,
    original?: Uint8Array,
  ): RoundingCounts {
    checkLength(dtype, target, source);
    checkLength("f32", bytesOf(before), source);
    const { count } = DTYPE_KERNELS[dtype];
    const inputs = [bytesOf(source), bytesOf(before)];
    if (count === undefined) {
      // Every f32 is exact in f32 and f64: nothing is lost, and the values themselves tell.
      const counts = this.#count(source.length, inputs, [], this.#exports.countF32);
      this.narrow(dtype, source, target);
      return counts;
    }
    if (original === undefined) this.narrow(dtype, before, target);
    else checkLength(dtype, original, source);
    return this.#count(source.length, [...inputs, original ?? target], [target], this.#exports[count]);
  }

  /** Multiplies elements of `dtype` in double precision, in place, each product rounded once. */
  multiply(dtype: MultipliedDtype, bytes: Uint8Array, factor: number): ProductCounts {
    const total = { rounded: 0, largestError: 0, nonFinite: 0 };
    const kernel = this.#exports[MULTIPLY_KERNELS[dtype]];
    this.#memory.run(bytes.byteLength / floatBytes(dtype), [bytes], [bytes], ([source = 0, target = 0], count) => {
      kernel(source, target, count, factor, this.#results.byteOffset);
      const [rounded = 0, largestError = 0, nonFinite = 0] = this.#results;
      total.rounded += rounded;
      total.largestError = Math.max(total.largestError, largestError);
      total.nonFinite += nonFinite;
    });
    return total;
  }

  /** The number of infinities and NaNs. */
  countNonFinite(values: Float32Array): number {
    let total = 0;
    this.#memory.run(values.length, [bytesOf(values)], [], ([address = 0], count) => {
      total += this.#exports.countNonFinite(address, count);
    });
    return total;
  }

  #count(length: number, inputs: Uint8Array[], outputs: Uint8Array[], kernel: Kernel): RoundingCounts {
    const total = { changed: 0, lost: 0, nonFinite: 0 };
    this.#memory.run(length, inputs, outputs, (addresses, count) => {
      kernel(...addresses, count, this.#counts.byteOffset);
      const [changed = 0, lost = 0, nonFinite = 0] = this.#counts;
      total.changed += changed;
      total.lost += lost;
      total.nonFinite += nonFinite;
    });
    return total;
  }
}

function call(kernel: Kernel): KernelCall {
  return (addresses, count) => kernel(...addresses, count);
}

function checkLength(dtype: FloatDtype, bytes: Uint8Array, values: Float32Array): void {
  const expected = values.length * floatBytes(dtype);
  if (bytes.byteLength === expected) return;
  throw new RangeError(`${values.length} elements of ${dtype} expected ${expected} bytes, got ${bytes.byteLength}`);
}
