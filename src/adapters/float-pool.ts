/**
 * f32 arrays that are used again: factors of a large rank are tens of megabytes, and V8 frees such buffers late.
 *
 * Arrays are given back in the reverse order of taking, by scopes, as tiles lie inside jobs.
 */

export class FloatPool {
  /** Arrays in use, oldest first. */
  readonly #taken: Float32Array[] = [];
  readonly #free: Float32Array[] = [];

  /** An array of `length` elements, with whatever the last use left in it. */
  take(length: number): Float32Array {
    let best = -1;
    for (const [index, { length: capacity }] of this.#free.entries()) {
      // One that is far too large would keep a large matrix from being found later.
      const fits = capacity >= length && capacity <= 2 * length + 1024;
      if (fits && capacity < (this.#free[best]?.length ?? Number.POSITIVE_INFINITY)) best = index;
    }
    const array = best < 0 ? new Float32Array(length) : (this.#free.splice(best, 1)[0] ?? new Float32Array(length));
    this.#taken.push(array);
    return array.subarray(0, length);
  }

  /** Runs `use` and takes back all that it took. */
  async scope<Result>(use: () => Promise<Result>): Promise<Result> {
    const mark = this.#taken.length;
    try {
      return await use();
    } finally {
      this.#free.push(...this.#taken.splice(mark));
      this.#trim();
    }
  }

  /** Keeps what a tensor needs, not what every earlier one did. */
  #trim(): void {
    const most = 16;
    if (this.#free.length > most) this.#free.splice(0, this.#free.length - most);
  }
}
