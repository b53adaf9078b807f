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
    const high0 = multiplyHigh(0xd2511f53, c0);
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low0 = Math.imul(0xd2511f53, c0);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
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
  const first = start - (start % 4);
  for (let position = first; position < start + out.length; position += 4) {
    const block = position / 4;
    const words = philox(key, [block >>> 0, Math.floor(block / 2 ** 32) >>> 0, stream >>> 0, 0]);
    // Writes past either end have no effect.
    for (let word = 0; word < 4; word++) out[position - start + word] = ((words[word] ?? 0) >>> 8) * 2 ** -24;
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

/** The upper 32 bits of the 64-bit product of two unsigned words, by halves: bigints take thirty times as long. */
function multiplyHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  // Each sum is below 2^32.
  const middle = (Math.imul(aHigh, bLow) >>> 0) + (Math.imul(aLow, bLow) >>> 16);
  const other = (Math.imul(aLow, bHigh) >>> 0) + (middle & 0xffff);
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (other >>> 16)) >>> 0;
}
