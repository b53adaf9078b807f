import { describe, expect, test, vi } from "vitest";
import { encodeElement, roundTo } from "../../../src/core/cast/float-codec.ts";
import { createKernels, type Kernels } from "../../../src/core/cast/kernels.ts";
import { FLOAT_DTYPES, type FloatDtype, floatBytes } from "../../../src/core/dtype.ts";
import { FileError, MemoryError } from "../../../src/core/errors.ts";

/** Elements that pass through the scratch area at once, and one more; then two rounds and a rest. */
const LENGTHS = [...Array.from({ length: 68 }, (_, length) => length), 4_096, 4_097, 8_205];

interface Place {
  readonly name: string;
  /** A view of `byteLength` bytes whose neighbours hold 0xa5; `shift` moves it off its alignment. */
  readonly view: (kernels: Kernels, byteLength: number, shift: number) => Uint8Array;
}

const INSIDE: Place = {
  name: "inside",
  view: (kernels, byteLength, shift) => {
    const bytes = kernels.allocate(byteLength + 48).fill(0xa5);
    return bytes.subarray(16 + shift, 16 + shift + byteLength);
  },
};
const OUTSIDE: Place = {
  name: "outside",
  view: (_, byteLength, shift) =>
    new Uint8Array(byteLength + 48).fill(0xa5).subarray(16 + shift, 16 + shift + byteLength),
};

function neighboursOf(view: Uint8Array): Uint8Array {
  const before = new Uint8Array(view.buffer, view.byteOffset - 8, 8);
  const after = new Uint8Array(view.buffer, view.byteOffset + view.byteLength, 8);
  return Uint8Array.of(...before, ...after);
}

function floats(view: Uint8Array): Float32Array {
  return new Float32Array(view.buffer, view.byteOffset, view.byteLength / 4);
}

/** Numbers that every dtype has to round. */
function sample(index: number): number {
  return Math.fround(Math.sin(index + 1) * 3);
}

function bytesOf(dtype: FloatDtype, length: number): Uint8Array {
  const bytes = new Uint8Array(length * floatBytes(dtype));
  for (let index = 0; index < length; index++) encodeElement(dtype, sample(index), bytes, index * floatBytes(dtype));
  return bytes;
}

const PAIRS = [INSIDE, OUTSIDE].flatMap((source) => [INSIDE, OUTSIDE].map((target) => ({ source, target })));
const CASES = FLOAT_DTYPES.flatMap((dtype) => PAIRS.map((pair) => ({ dtype, ...pair })));

describe.each(CASES)("$dtype, $source.name → $target.name", ({ dtype, source, target }) => {
  const width = floatBytes(dtype);

  test("narrows any length to any byte offset and touches nothing beside it", () => {
    const kernels = createKernels({ bytes: 2_000_000 });
    for (const length of LENGTHS) {
      const from = floats(source.view(kernels, length * 4, 4 * (length % 4)));
      from.set(Float32Array.from({ length }, (_, index) => sample(index)));
      const to = target.view(kernels, length * width, length % 7);
      kernels.narrow(dtype, from, to);
      expect(Buffer.compare(to, bytesOf(dtype, length))).toBe(0);
      expect(neighboursOf(to).every((byte) => byte === 0xa5)).toBe(true);
    }
  });

  test("widens any length from any byte offset and touches nothing beside it", () => {
    const kernels = createKernels({ bytes: 2_000_000 });
    for (const length of LENGTHS) {
      const from = source.view(kernels, length * width, length % 7);
      from.set(bytesOf(dtype, length));
      const to = floats(target.view(kernels, length * 4, 4 * (length % 4)));
      kernels.widen(dtype, from, to);
      expect(to).toEqual(Float32Array.from({ length }, (_, index) => roundTo(dtype, sample(index))));
      expect(neighboursOf(new Uint8Array(to.buffer, to.byteOffset, to.byteLength)).every((byte) => byte === 0xa5)).toBe(
        true,
      );
    }
  });
});

describe("allocate", () => {
  test("hands out zeroed, separate views of one memory, aligned to 16 bytes", () => {
    const kernels = createKernels({ bytes: 64 });
    const views = [kernels.allocate(1), kernels.allocate(17), kernels.allocate(16)];
    expect(views.map((view) => [view.byteLength, view.byteOffset % 16])).toEqual([
      [1, 0],
      [17, 0],
      [16, 0],
    ]);
    expect(views.every((view) => view.every((byte) => byte === 0))).toBe(true);
    expect(new Set(views.map((view) => view.buffer)).size).toBe(1);
    expect(views.map((view) => view.byteOffset - (views[0]?.byteOffset ?? 0))).toEqual([0, 16, 48]);
  });

  test("hands out all bytes that were asked for", () => {
    for (const bytes of [16, 65_536, 1_000_000]) {
      expect(createKernels({ bytes }).allocate(bytes).byteLength).toBe(bytes);
    }
  });

  test("refuses when the bytes are used up, and keeps earlier views valid", () => {
    const kernels = createKernels({ bytes: 100_000 });
    const view = kernels.allocate(90_000).fill(7);
    expect(() => kernels.allocate(200_000)).toThrow(MemoryError);
    expect(view.byteLength).toBe(90_000);
    expect(view.every((byte) => byte === 7)).toBe(true);
  });

  test("refuses more memory than addresses reach", () => {
    expect(() => createKernels({ bytes: 2 ** 32 })).toThrow(
      /^buffers of one thread are too large, expected below 4 GiB/,
    );
  });
});

describe("refusals", () => {
  const kernels = createKernels();

  test("views of different lengths are refused before anything is written", () => {
    const target = new Uint8Array(7);
    expect(() => kernels.narrow("bf16", Float32Array.of(1, 2, 3, 4), target)).toThrow(
      "4 elements of bf16 expected 8 bytes, got 7",
    );
    expect(() => kernels.widen("f16", target, new Float32Array(3))).toThrow(RangeError);
    const [source, before] = [new Float32Array(4), new Float32Array(3)];
    expect(() => kernels.narrowCounting("bf16", source, before, new Uint8Array(8))).toThrow(RangeError);
    expect(() => kernels.narrowCounting("bf16", source, source, new Uint8Array(8), target)).toThrow(RangeError);
    expect(target.every((byte) => byte === 0)).toBe(true);
  });

  test("a program that was not built says how to build it", async () => {
    vi.resetModules();
    vi.doMock("node:fs", () => ({
      readFileSync: () => {
        throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
      },
    }));
    const unbuilt = await import("../../../src/core/cast/kernels.ts");
    vi.doUnmock("node:fs");
    expect(() => unbuilt.createKernels()).toThrow(
      expect.objectContaining({
        name: FileError.name,
        message: expect.stringMatching(/kernels\.wasm: .*npm run build/),
      }),
    );
  });
});
