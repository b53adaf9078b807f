/** Stored inputs and logits of a fixture of models (fixtures/generate/models_logits.py). */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import { integersOf, numbersOf } from "../support/read-tensor.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
export const MODELS = join(FIXTURES, "models");

export const LOGIT_CASES = readdirSync(MODELS).sort();

export interface LogitsFixture {
  readonly folder: string;
  readonly shape: readonly [batch: number, length: number];
  readonly ids: BigInt64Array;
  /** 0 for padding. */
  readonly mask: BigInt64Array;
  readonly positions: BigInt64Array;
  /** [batch, length, vocabulary] */
  readonly logits: Float64Array;
}

export function openLogitsFixture(name: string): LogitsFixture {
  const { tensors } = openSafetensors(join(MODELS, name, "io.safetensors"));
  const stored = (key: string) => {
    const tensor = tensors.get(key);
    if (tensor === undefined) throw new Error(`no tensor ${key}`);
    return tensor;
  };
  const [batch = 0, length = 0] = stored("logits").shape;
  return {
    // stories260K has its model elsewhere.
    folder: join(name === "stories260K" ? FIXTURES : MODELS, name),
    shape: [batch, length],
    ids: integersOf(stored("input_ids")),
    mask: integersOf(stored("attention_mask")),
    positions: integersOf(stored("position_ids")),
    logits: numbersOf(stored("logits")),
  };
}

/** The largest difference where there is no padding. */
export function largestError(found: ArrayLike<number | bigint>, { logits, mask }: LogitsFixture): number {
  if (found.length !== logits.length) return Number.NaN;
  const vocabulary = logits.length / mask.length;
  return logits.reduce((largest, value, index) => {
    const isToken = mask[Math.floor(index / vocabulary)] === 1n;
    return isToken ? Math.max(largest, Math.abs(Number(found[index]) - value)) : largest;
  }, 0);
}
