import { expect, it } from "vitest";
import { byteSize } from "../../src/core/byte-size.ts";

it("reads decimal and binary units, and bytes without one", () => {
  expect(["5GB", "1.5 KiB", "200", "2mb"].map(byteSize)).toEqual([5e9, 1536, 200, 2e6]);
  expect(["", "0", "-1", "5XB", "NaN", "1e3", "Infinity"].map(byteSize)).toEqual(Array(7).fill(undefined));
});
