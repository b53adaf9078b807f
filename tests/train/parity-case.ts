/** Twenty steps of training against PEFT and torch's AdamW (fixtures/generate/train_parity.py). */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { train } from "lora-tool";
import { expect } from "vitest";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import { numbersOf } from "../support/read-tensor.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
export const PARITY = join(FIXTURES, "train/parity");
const STEPS = 20;

interface Case {
  readonly base: string;
  readonly losses: readonly number[];
  readonly grad_norms: readonly number[];
  readonly options: {
    readonly lr: number;
    readonly weight_decay: number;
    readonly warmup_steps: number;
    readonly max_grad_norm: number;
    readonly scheduler: "linear";
    readonly optimizer?: "sgd";
    readonly lora_plus_ratio?: number;
  };
}

/** @param base a file that holds the same model as the case's own base */
export async function expectParity(name: string, base?: string): Promise<void> {
  const folder = join(PARITY, name);
  const {
    base: own,
    losses,
    grad_norms: norms,
    options,
  } = JSON.parse(readFileSync(join(folder, "case.json"), "utf8")) as Case;
  const out = join(temporaryFolder(), "adapter");
  await train({
    base: base ?? join(FIXTURES, "models", own),
    data: join(PARITY, "rows.jsonl"),
    out,
    initAdapter: join(folder, "initial"),
    lr: options.lr,
    weightDecay: options.weight_decay,
    warmupSteps: options.warmup_steps,
    maxGradNorm: options.max_grad_norm,
    scheduler: options.scheduler,
    optimizer: options.optimizer,
    loraPlusRatio: options.lora_plus_ratio,
    steps: STEPS,
    batchSize: 4,
    shuffle: false,
    device: "cpu",
  });
  const lines = readFileSync(join(out, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (_, index) => index + 1));
  for (const [index, { loss, grad_norm: norm }] of lines.entries()) {
    expect(Math.abs(loss / (losses[index] ?? 0) - 1), `loss of step ${index + 1}`).toBeLessThan(1e-4);
    expect(Math.abs(norm / (norms[index] ?? 0) - 1), `norm of step ${index + 1}`).toBeLessThan(1e-3);
  }
  const trained = openSafetensors(join(out, "adapter_model.safetensors")).tensors;
  const expected = openSafetensors(join(folder, "final/adapter_model.safetensors")).tensors;
  expect([...trained.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [key, tensor] of expected) {
    const [wanted, got] = [numbersOf(tensor), numbersOf(trained.get(key) ?? tensor)];
    expect(trained.get(key)?.shape, key).toEqual(tensor.shape);
    const error = Math.hypot(...wanted.map((value, index) => (got[index] ?? Number.NaN) - value));
    expect(error / Math.hypot(...wanted), key).toBeLessThan(2e-4);
  }
}
