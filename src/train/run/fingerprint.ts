/**
 * What a run depends on, in words: a run only goes on from a checkpoint that was made with the same.
 */

import { createHash } from "node:crypto";
import { MismatchError } from "../../core/errors.ts";
import { updateDigest } from "../../formats/digest.ts";
import type { Base } from "../base/base.ts";
import type { Sequence } from "../data/batch.ts";
import type { Dataset } from "../data/open-dataset.ts";
import type { TrainSettings } from "../settings.ts";
import { differences } from "./differences.ts";
import type { Fingerprint } from "./run-state.ts";

export interface FingerprintInputs {
  readonly settings: TrainSettings;
  readonly totalSteps: number;
  /** Loaded, before an initialisation changes it. */
  readonly base: Base;
  readonly data: Dataset;
  readonly evalData: Dataset | undefined;
}

/** Settings that change how a run is stored or shown, not what it computes. */
const FREE: ReadonlySet<string> = new Set(["saveEvery", "keepCheckpoints", "logEvery", "epochs", "steps"]);

export function fingerprintOf({ settings, totalSteps, base, data, evalData }: FingerprintInputs): Fingerprint {
  const named = Object.entries({ ...settings.adapter, ...settings.optimiser, ...settings.run })
    .filter(([name, value]) => !FREE.has(name) && value !== undefined)
    .map(([name, value]) => [name, inWords(value)] as const);
  return {
    ...Object.fromEntries(named),
    totalSteps: String(totalSteps),
    base: hashBase(base),
    data: hashRows(data.sequences),
    evalData: evalData === undefined ? "none" : hashRows(evalData.sequences),
  };
}

/** @throws {MismatchError} RESUME_MISMATCH listing every difference */
export function assertSameRun(checkpoint: Fingerprint, now: Fingerprint, path: string): void {
  const [earlier, wanted] = [new Map(Object.entries(checkpoint)), new Map(Object.entries(now))];
  const problems = differences("the checkpoint", earlier, wanted);
  if (problems.length === 0) return;
  throw new MismatchError("RESUME_MISMATCH", "the checkpoint is of a run with other settings:", problems, {
    file: path,
    hint: "resume with the settings of the first start, or start anew with --init-adapter and this checkpoint",
  });
}

function inWords(value: unknown): string {
  if (value instanceof Map) return JSON.stringify([...value]);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function hashBase(base: Base): string {
  const hash = createHash("sha256");
  for (const [name, { shape, source }] of base.weights) {
    hash.update(`${name} ${shape} `);
    if (source.kind === "memory") updateDigest(hash, source.bytes);
  }
  return hash.digest("hex");
}

function hashRows(rows: readonly Sequence[]): string {
  const hash = createHash("sha256");
  for (const { tokens, labels } of rows) {
    hash.update(`${tokens.length} `).update(tokens).update(labels);
  }
  return hash.digest("hex");
}
