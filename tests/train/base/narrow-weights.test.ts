import { expect, test } from "vitest";
import type { Dtype } from "../../../src/core/dtype.ts";
import type { TensorData } from "../../../src/formats/tensor-store.ts";
import { narrowWeights } from "../../../src/train/base/load-weights.ts";
import { f32InMemory } from "../../engine/graphs.ts";
import { numbersOf } from "../../support/read-tensor.ts";

/** 2⁻²⁴ is the smallest f16; 2⁻²⁶ is a bf16 that becomes 0. */
const VALUES = Float32Array.of(1.5, -2, 2 ** -24, 2 ** -26);

const loaded = (name: string, shape: readonly number[], values = VALUES): TensorData => ({
  ...f32InMemory(name, values),
  shape,
});

test("matrices of 16 bits become f16, everything else stays", () => {
  const rows: readonly [name: string, dtype: Dtype, tensor: TensorData, becomes: Dtype][] = [
    ["f16", "f16", loaded("f16", [2, 2]), "f16"],
    ["bf16", "bf16", loaded("bf16", [2, 2]), "f16"],
    ["f32", "f32", loaded("f32", [2, 2]), "f32"],
    ["norm", "f16", loaded("norm", [4]), "f32"],
    ["large", "bf16", loaded("large", [2, 2], Float32Array.of(1, 2, 65_536, 3)), "f32"],
  ];
  const stored = new Map(rows.map(([name, dtype, tensor]) => [name, { ...tensor, dtype }]));
  const narrowed = narrowWeights(new Map(rows.map(([name, , tensor]) => [name, tensor])), stored);
  for (const [name, , tensor, dtype] of rows) {
    expect(narrowed.get(name)).toMatchObject(dtype === "f32" ? tensor : { dtype, shape: tensor.shape, byteLength: 8 });
  }
  const half = narrowed.get("bf16");
  expect(half && [...numbersOf(half)]).toEqual([1.5, -2, 2 ** -24, 0]);
});
