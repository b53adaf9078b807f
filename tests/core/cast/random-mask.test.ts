/** Masks of the SIMD kernel against the numbers of `philox`, one by one. */

import { describe, expect, it } from "vitest";
import { createMaskWriter, type MaskStream } from "../../../src/core/cast/random-mask.ts";
import { philox } from "../../../src/core/random.ts";

const writer = createMaskWriter();

function expected(length: number, p: number, { key, stream }: MaskStream): Float32Array {
  return Float32Array.from({ length }, (_, index) => {
    const word = philox(key, [Math.floor(index / 8), ...stream])[Math.floor(index / 2) % 4] ?? 0;
    const half = index % 2 === 0 ? word & 0xffff : word >>> 16;
    return half < Math.round(p * 2 ** 16) ? 0 : 1 / (1 - p);
  });
}

describe("MaskWriter", () => {
  const streams: [string, MaskStream][] = [
    ["zeros", { key: [0, 0], stream: [0, 0, 0] }],
    ["ones", { key: [0xffffffff, 0xffffffff], stream: [0xffffffff, 0xffffffff, 0xffffffff] }],
    ["digits of pi", { key: [0xa4093822, 0x299f31d0], stream: [0x85a308d3, 0x13198a2e, 0x03707344] }],
  ];

  it.each(streams)("draws the numbers of philox for words of %s, whatever the length", (_, stream) => {
    for (const length of [0, 1, 8, 15, 16, 17, 31, 32, 48, 100, 4096, 4112, 9001]) {
      for (const p of [0.1, 0.5, 0.9]) {
        const mask = new Float32Array(length).fill(Number.NaN);
        writer.fill(mask, p, stream);
        expect(mask, `${length} elements, p ${p}`).toEqual(expected(length, p, stream));
      }
    }
  });

  it("writes to a part of a buffer and nothing beside it", () => {
    const stream: MaskStream = { key: [1, 2], stream: [3, 4, 5] };
    const buffer = new Float32Array(300).fill(7);
    writer.fill(buffer.subarray(100, 200), 0.5, stream);
    expect(buffer.slice(100, 200)).toEqual(expected(100, 0.5, stream));
    expect(new Set([...buffer.slice(0, 100), ...buffer.slice(200)])).toEqual(new Set([7]));
  });

  it("keeps something even where almost all is dropped", () => {
    const mask = new Float32Array(2 ** 20);
    writer.fill(mask, 1 - 2 ** -20, { key: [1, 2], stream: [3, 4, 5] });
    expect(new Set(mask)).toEqual(new Set([0, 2 ** 20]));
  });
});
