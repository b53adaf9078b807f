/**
 * The memory of one thread's kernels: buffers handed out once, and a scratch area for views of other memory.
 *
 * Kernels take whole blocks at addresses of this memory. Elements in views of it are worked on in place; views of other
 * memory, and the elements after the last whole block, are copied to the scratch area, padded with zeros, and back.
 */

import { MemoryError } from "../errors.ts";
import { BLOCK } from "./kernel-module.ts";

/** Elements that pass through the scratch area at once: a multiple of `BLOCK`; all slots fit a core's own cache. */
const CHUNK = 4_096;
/** An element has at most 8 bytes, and a kernel at most 4 operands. */
const SLOT_BYTES = 8 * CHUNK;
const SLOTS = 4;
const ALIGNMENT = 16;

/** Room for the scratch area, beside what is allocated. */
export const SCRATCH_BYTES = SLOTS * SLOT_BYTES + ALIGNMENT;

/** Runs a kernel on `count` elements, a multiple of `BLOCK`, at one address for each operand. */
export type KernelCall = (addresses: readonly number[], count: number) => void;

export class KernelMemory {
  readonly #buffer: ArrayBuffer;
  readonly #scratch: number;
  #next: number;

  /** @param freeFrom where the scratch area starts; what lies below belongs to the module */
  constructor(buffer: ArrayBuffer, freeFrom: number) {
    this.#buffer = buffer;
    this.#scratch = roundUp(freeFrom, ALIGNMENT);
    this.#next = this.#scratch + SLOTS * SLOT_BYTES;
  }

  /**
   * A zeroed view, aligned to 16 bytes.
   *
   * @throws {MemoryError} OUT_OF_MEMORY when the rest is too small
   */
  allocate(byteLength: number): Uint8Array {
    const left = this.#buffer.byteLength - this.#next;
    if (byteLength > left) {
      throw new MemoryError(`a kernel buffer is too large, expected at most ${left} bytes, got ${byteLength}`);
    }
    const view = new Uint8Array(this.#buffer, this.#next, byteLength);
    this.#next = roundUp(this.#next + byteLength, ALIGNMENT);
    return view;
  }

  /** Runs over the `count` elements that each operand holds; addresses are those of the inputs, then of the outputs. */
  run(count: number, inputs: readonly Uint8Array[], outputs: readonly Uint8Array[], call: KernelCall): void {
    const inside = [...inputs, ...outputs].every((view) => view.buffer === this.#buffer);
    for (let start = 0; start < count; ) {
      const left = count - start;
      const length = inside && left >= BLOCK ? left - (left % BLOCK) : Math.min(left, CHUNK);
      this.#runPart(
        inputs.map((view) => elements(view, start, length, count)),
        outputs.map((view) => elements(view, start, length, count)),
        length,
        call,
      );
      start += length;
    }
  }

  #runPart(inputs: readonly Uint8Array[], outputs: readonly Uint8Array[], length: number, call: KernelCall): void {
    const padded = roundUp(length, BLOCK);
    const sources = inputs.map((view, slot) => this.#stage(view, slot, length, padded));
    const targets = outputs.map((view, index) => this.#stage(view, inputs.length + index, length, padded));
    for (const [index, view] of inputs.entries()) {
      // The padding must be zero: other values would be counted.
      if (sources[index] !== view) sources[index]?.fill(0, view.byteLength).set(view);
    }
    call(
      [...sources, ...targets].map((view) => view.byteOffset),
      padded,
    );
    for (const [index, view] of outputs.entries()) {
      const target = targets[index];
      if (target !== undefined && target !== view) view.set(target.subarray(0, view.byteLength));
    }
  }

  /** Where the kernel works for `view`: in place, or in a slot of the scratch area with room for `padded` elements. */
  #stage(view: Uint8Array, slot: number, length: number, padded: number): Uint8Array {
    if (view.buffer === this.#buffer && padded === length) return view;
    return new Uint8Array(this.#buffer, this.#scratch + slot * SLOT_BYTES, (view.byteLength / length) * padded);
  }
}

/** `length` elements from element `start` of a view that holds `count`. */
function elements(view: Uint8Array, start: number, length: number, count: number): Uint8Array {
  const width = view.byteLength / count;
  return view.subarray(start * width, (start + length) * width);
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
