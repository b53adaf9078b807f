/**
 * The k-th largest absolute value of numbers that come tile by tile, exactly, in two passes and constant memory: the bits
 * of a positive f32 count up with its size, so the upper 16 are counted first, then the lower 15 of the one that holds it.
 */

const LOW_BITS = 15;
const HIGH_CODES = 2 ** 16;

/** One sequence among several that are made together. */
export class Threshold {
  readonly #counts = new Float64Array(HIGH_CODES);
  readonly #lowCounts = new Float64Array(2 ** LOW_BITS);
  #high = -1;
  #left = 0;

  /** First pass. */
  count(values: Float32Array): void {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    const counts = this.#counts;
    for (let index = 0; index < bits.length; index++) {
      const code = ((bits[index] ?? 0) & 0x7fffffff) >>> LOW_BITS;
      counts[code] = (counts[code] ?? 0) + 1;
    }
  }

  /** After the first pass: how many to keep. */
  choose(count: number): void {
    let left = count;
    for (let code = HIGH_CODES - 1; code >= 0 && left > 0; code--) {
      const count = this.#counts[code] ?? 0;
      if (count >= left) {
        this.#high = code;
        break;
      }
      left -= count;
    }
    this.#left = left;
  }

  /** Second pass. */
  refine(values: Float32Array): void {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    for (let index = 0; index < bits.length; index++) {
      const code = (bits[index] ?? 0) & 0x7fffffff;
      if (code >>> LOW_BITS !== this.#high) continue;
      const low = code & (2 ** LOW_BITS - 1);
      this.#lowCounts[low] = (this.#lowCounts[low] ?? 0) + 1;
    }
  }

  /** The smallest absolute value to keep; infinity to keep none. */
  get value(): number {
    if (this.#high < 0) return Number.POSITIVE_INFINITY;
    let left = this.#left;
    for (let low = 2 ** LOW_BITS - 1; low >= 0; low--) {
      left -= this.#lowCounts[low] ?? 0;
      if (left <= 0) return floatOf(this.#high * 2 ** LOW_BITS + low);
    }
    return 0;
  }
}

function floatOf(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0] ?? 0;
}
