/** Short runs on the tiny Llama of the fixtures. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type TrainOptions, type TrainReport, train } from "lora-tool";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import { numbersOf } from "../support/read-tensor.ts";

export const FIXTURES = join(import.meta.dirname, "../../fixtures");
export const TINY = join(FIXTURES, "models/llama");
/** 48 rows of unequal length. */
export const ROWS = join(FIXTURES, "train/parity/rows.jsonl");

export function run(out: string, options: Partial<TrainOptions> = {}): Promise<TrainReport> {
  return train({ base: TINY, data: ROWS, out, steps: 6, batchSize: 4, rank: 4, lr: 1e-2, device: "cpu", ...options });
}

export function weightsOf(folder: string): Buffer {
  return readFileSync(join(folder, "adapter_model.safetensors"));
}

export function numbers(folder: string): Map<string, Float64Array> {
  const { tensors } = openSafetensors(join(folder, "adapter_model.safetensors"));
  return new Map(Array.from(tensors, ([name, tensor]) => [name, numbersOf(tensor)]));
}

/** ‖a − b‖ / ‖b‖ over all tensors. */
export function distance(a: Map<string, Float64Array>, b: Map<string, Float64Array>): number {
  let [difference, size] = [0, 0];
  for (const [name, values] of b) {
    const other = a.get(name);
    for (const [index, value] of values.entries()) {
      difference += ((other?.[index] ?? Number.NaN) - value) ** 2;
      size += value ** 2;
    }
  }
  return Math.sqrt(difference / size);
}

export interface MetricsLine {
  readonly step: number;
  readonly loss: number;
  readonly grad_norm: number;
  readonly lr: number;
  readonly tokens: number;
  readonly eval_loss?: number;
}

export function metricsOf(out: string): MetricsLine[] {
  const lines = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n");
  return lines.map((line) => JSON.parse(line) as MetricsLine);
}

/** What a line says but for how fast it was. */
export function lossesOf(out: string): number[][] {
  return metricsOf(out).map(({ step, loss, grad_norm: norm, lr, tokens }) => [step, loss, norm, lr, tokens]);
}
