/** Numbers as people read them, at the edges of their units. */

import { expect, test } from "vitest";
import { formatBytes, formatSeconds, formatTeraflops } from "../../src/cli/format.ts";

test.each([
  [0.04, "0.0 s"],
  [9.94, "9.9 s"],
  [9.96, "10 s"],
  [59.6, "1 min 0 s"],
  [200, "3 min 20 s"],
  [3599.7, "1 h 00 min"],
  [7500, "2 h 05 min"],
])("%f seconds are %s", (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});

test.each([
  [12.34, "12 B"],
  [999.6, "1.00 kB"],
  [2.2e9, "2.20 GB"],
])("%f bytes are %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0.0068, "6.8 GFLOP/s"],
  [0.996, "1 TFLOP/s"],
  [12.34, "12 TFLOP/s"],
])("%f teraflops are %s", (teraflops, text) => {
  expect(formatTeraflops(teraflops)).toBe(text);
});
