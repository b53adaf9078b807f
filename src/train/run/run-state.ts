/**
 * Where a run stands, beside its tensors: what a checkpoint keeps as state.json. Random numbers need no state: they are
 * functions of the seed and the step.
 */

import { FormatError } from "../../core/errors.ts";
import type { JsonObject, JsonValue } from "../../core/json.ts";
import { parseJsonObject } from "../../core/json-parser.ts";
import type { MeasuredState } from "../optimise/measured-schedule.ts";

/** What must be the same for a run to go on, as `name: value` in words. */
export type Fingerprint = Readonly<Record<string, string>>;

export interface BestEvaluation {
  readonly step: number;
  readonly loss: number;
}

export interface RunState {
  /** Steps done. */
  readonly step: number;
  readonly best: BestEvaluation | null;
  /** Evaluations since the best one. */
  readonly worse: number;
  readonly schedule: MeasuredState | null;
  readonly fingerprint: Fingerprint;
}

/** @throws {FormatError} INVALID_METADATA when it is not what `JSON.stringify` makes of a state */
export function parseRunState(bytes: Uint8Array, file: string): RunState {
  const values = parseJsonObject(bytes, { file });
  const schedule = values.get("schedule");
  const best = values.get("best");
  const fingerprint = values.get("fingerprint");
  const texts = Array.from(objectOf(fingerprint, "fingerprint", file), ([key, value]) => {
    if (typeof value !== "string") throw wrong(`fingerprint.${key}`, file);
    return [key, value] as const;
  });
  return {
    step: numberOf(values, "step", file),
    best: best === null ? null : bestOf(objectOf(best, "best", file), file),
    worse: numberOf(values, "worse", file),
    schedule: schedule === null ? null : scheduleOf(objectOf(schedule, "schedule", file), file),
    fingerprint: Object.fromEntries(texts),
  };
}

function bestOf(values: JsonObject, file: string): BestEvaluation {
  return { step: numberOf(values, "step", file), loss: numberOf(values, "loss", file) };
}

function scheduleOf(values: JsonObject, file: string): MeasuredState {
  const number = (key: string) => numberOf(values, key, file);
  return {
    rate: number("rate"),
    best: values.get("best") === null ? null : number("best"),
    badEvaluations: number("badEvaluations"),
    goodEvaluations: number("goodEvaluations"),
    cooldown: number("cooldown"),
    warmup: number("warmup"),
    resetIn: number("resetIn"),
  };
}

function objectOf(value: JsonValue | undefined, key: string, file: string): JsonObject {
  if (value instanceof Map) return value as JsonObject;
  throw wrong(key, file);
}

function numberOf(values: JsonObject, key: string, file: string): number {
  const value = values.get(key);
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw wrong(key, file);
}

function wrong(key: string, file: string): FormatError {
  return new FormatError("INVALID_METADATA", "is not what a checkpoint holds here", { file, subject: key });
}
