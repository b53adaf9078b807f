/**
 * Random masks of f32 on WebAssembly SIMD: element i is decided by half i mod 8 of the words that `philox` draws for the
 * counter [⌊i / 8⌋, …], lower halves first.
 */

import { bytesOf } from "../bytes.ts";
import type { PhiloxCounter, PhiloxKey } from "../random.ts";
import { KernelMemory, SCRATCH_BYTES } from "./kernel-memory.ts";
import { instantiateKernels, type Kernel } from "./kernel-module.ts";

const ELEMENTS_PER_COUNTER = 8;
const HALVES = 2 ** 16;

export interface MaskStream {
  readonly key: PhiloxKey;
  /** The words of the counter behind the one that counts. */
  readonly stream: readonly [PhiloxCounter[1], PhiloxCounter[2], PhiloxCounter[3]];
}

/** @throws {FileError} FILE_NOT_FOUND when the program was not built */
export function createMaskWriter(): MaskWriter {
  const { exports, buffer, freeFrom } = instantiateKernels(SCRATCH_BYTES);
  return new MaskWriter(exports.fillMask, new KernelMemory(buffer, freeFrom));
}

export class MaskWriter {
  readonly #kernel: Kernel;
  readonly #memory: KernelMemory;

  /** Use `createMaskWriter`. */
  constructor(kernel: Kernel, memory: KernelMemory) {
    this.#kernel = kernel;
    this.#memory = memory;
  }

  /** Fills `out` with 0, for a share of `p` in steps of 2⁻¹⁶, and 1/(1 − p). Below 1, so that something is kept. */
  fill(out: Float32Array, p: number, { key, stream }: MaskStream): void {
    const dropped = Math.min(Math.round(p * HALVES), HALVES - 1);
    const kept = 1 / (1 - p);
    let block = 0;
    this.#memory.run(out.length, [], [bytesOf(out)], ([target = 0], count) => {
      this.#kernel(target, count, block, ...stream, ...key, dropped, kept);
      block += count / ELEMENTS_PER_COUNTER;
    });
  }
}
