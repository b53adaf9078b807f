/**
 * The order of rows in an epoch: a pure function of (seed, epoch), so a resumed run finds its place without a saved state.
 */

import { philox, philoxKey } from "../../core/random.ts";

/** A uniform permutation of 0 … count − 1 (Fisher and Yates, from the end). */
export function shuffledOrder(count: number, seed: number, epoch: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  const key = philoxKey(seed, "shuffle");
  let words: readonly number[] = [];
  for (let last = count - 1; last > 0; last--) {
    // One call gives four words: numbers of 53 bits for two places.
    const block = last >>> 1;
    if (last % 2 === 1 || words.length === 0) words = philox(key, [block, epoch >>> 0, 0, 0]);
    const [high = 0, low = 0] = last % 2 === 1 ? words : words.slice(2);
    const uniform = (high * 2 ** 21 + (low >>> 11)) * 2 ** -53;
    const other = Math.floor(uniform * (last + 1));
    const kept = order[last] ?? 0;
    order[last] = order[other] ?? 0;
    order[other] = kept;
  }
  return order;
}
