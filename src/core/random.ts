/**
 * Counter-based random numbers: a number is a pure function of (key, counter), so work can stop, resume, split over
 * workers or run in another order and still draw the same numbers, without saving a generator's state.
 *
 * Philox 4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Random123); the test holds
 * its published known answers. Key and counter are unsigned 32-bit words.
 */

export type PhiloxKey = readonly [number, number];
export type PhiloxCounter = readonly [number, number, number, number];

/** Four independent, uniform 32-bit words for one (key, counter). */
export function philox(key: PhiloxKey, counter: PhiloxCounter): [number, number, number, number] {
  let [k0, k1] = key;
  let [c0, c1, c2, c3] = counter;
  for (let round = 0; round < 10; round++) {
    const [high0, low0] = multiply32(0xd2511f53, c0);
    const [high1, low1] = multiply32(0xcd9e8d57, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** A key from a seed of up to 53 bits and a purpose, so that two uses of one seed do not share numbers. */
export function philoxKey(seed: number, purpose: string): PhiloxKey {
  // FNV-1a over UTF-16 units: only has to keep purposes apart.
  let hash = 0x811c9dc5;
  for (let index = 0; index < purpose.length; index++) {
    hash = Math.imul(hash ^ purpose.charCodeAt(index), 0x01000193) >>> 0;
  }
  const low = seed >>> 0;
  const high = Math.floor(seed / 2 ** 32) >>> 0;
  return [low, (hash ^ high) >>> 0];
}

/** Fills `out` with uniform numbers in [0, 1), 24 bits each, for elements `start`, `start + 1`, … of the stream. */
export function fillUniform(out: Float32Array, key: PhiloxKey, stream: number, start = 0): void {
  let block = -1;
  let words: readonly number[] = [];
  for (let index = 0; index < out.length; index++) {
    const position = start + index;
    if (Math.floor(position / 4) !== block) {
      block = Math.floor(position / 4);
      words = philox(key, [block >>> 0, Math.floor(block / 2 ** 32) >>> 0, stream >>> 0, 0]);
    }
    out[index] = ((words[position % 4] ?? 0) >>> 8) * 2 ** -24;
  }
}

/** Fills `out` with N(0, 1) by Box and Muller, two numbers a pair of words; same addressing as `fillUniform`. */
export function fillNormal(out: Float32Array, key: PhiloxKey, stream: number, start = 0): void {
  for (let index = 0; index < out.length; index++) {
    const position = start + index;
    const block = Math.floor(position / 4);
    const words = philox(key, [block >>> 0, Math.floor(block / 2 ** 32) >>> 0, stream >>> 0, 1]);
    const pair = position % 4 < 2 ? 0 : 2;
    // (0, 1]: the logarithm must not see zero.
    const radius = Math.sqrt(-2 * Math.log(((words[pair] ?? 0) + 1) * 2 ** -32));
    const angle = 2 * Math.PI * (words[pair + 1] ?? 0) * 2 ** -32;
    out[index] = radius * (position % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
  }
}

/** The 64-bit product of two unsigned words as [high, low]. */
function multiply32(a: number, b: number): [number, number] {
  const product = BigInt(a) * BigInt(b);
  return [Number(product >> 32n), Number(product & 0xffffffffn)];
}
