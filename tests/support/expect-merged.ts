/** Compares a merged model with what an oracle says: changed tensors within rounding, all others byte for byte. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type FloatDtype, isFloatDtype } from "../../src/core/dtype.ts";
import { readTensorBytes } from "../../src/formats/byte-source.ts";
import { openModel } from "../../src/formats/open-model.ts";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import type { TensorData } from "../../src/formats/tensor-store.ts";
import { ulpAt } from "../../src/merge/verify-rows.ts";
import { numbersOf } from "./read-tensor.ts";

/** Ulp of the output's dtype that f32 sums and one rounding may be away, at the size of the tensor's numbers. */
const ALLOWED_ULP: Record<FloatDtype, number> = { f64: 0, f32: 16, f16: 1, bf16: 1, f8_e4m3fn: 1, f8_e5m2: 1 };

export interface Compared {
  readonly base: ReadonlyMap<string, TensorData>;
  readonly expected: ReadonlyMap<string, TensorData>;
  readonly merged: ReadonlyMap<string, TensorData>;
  /** Elements of the expected tensors. */
  readonly elements: number;
  /** Those that are not equal to the expected number. */
  readonly different: number;
}

/**
 * @param expectedPath file of the tensors that the merge must change or add
 * @param config what config.json of the merged model must hold, where it has one
 */
export async function expectMerged(
  basePath: string,
  expectedPath: string,
  out: string,
  config: Record<string, unknown>,
): Promise<Compared> {
  const expected = openSafetensors(expectedPath).tensors;
  const base = (await openModel(basePath)).store.tensors;
  const merged = (await openModel(out)).store.tensors;
  let [elements, different] = [0, 0];
  for (const [name, tensor] of merged) {
    const right = expected.get(name);
    if (right === undefined) {
      const own = base.get(name);
      expect(own && Buffer.compare(readTensorBytes(own), readTensorBytes(tensor)), name).toBe(0);
      continue;
    }
    expect([tensor.dtype, tensor.shape], name).toEqual([right.dtype, right.shape]);
    if (!isFloatDtype(tensor.dtype)) throw new Error(name);
    const [found, wanted] = [numbersOf(tensor), numbersOf(right)];
    const size = Math.sqrt(wanted.reduce((sum, value) => sum + value * value, 0) / wanted.length);
    for (const [index, value] of found.entries()) {
      const want = wanted[index] ?? Number.NaN;
      elements++;
      if (value !== want) different++;
      const ulp = ulpAt(tensor.dtype, Math.max(Math.abs(want), size));
      if (!(Math.abs(value - want) <= ALLOWED_ULP[tensor.dtype] * ulp)) {
        throw new Error(`${name}[${index}]: expected ${want}, got ${value}`);
      }
    }
  }
  const configPath = join(out, "config.json");
  if (existsSync(configPath)) expect(JSON.parse(readFileSync(configPath, "utf8"))).toMatchObject(config);
  return { base, expected, merged, elements, different };
}
