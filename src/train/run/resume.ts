/**
 * Where a run goes on: its newest checkpoint that is whole and was made with the same settings.
 */

import { FormatError, LoraToolError } from "../../core/errors.ts";
import type { CheckpointStore } from "./checkpoint.ts";
import { assertSameRun } from "./fingerprint.ts";
import type { Fingerprint, RunState } from "./run-state.ts";

export interface ResumePoint {
  /** `undefined`: there is no checkpoint yet, the run starts. */
  readonly state: RunState | undefined;
  readonly warnings: readonly string[];
}

/**
 * @throws {MismatchError} RESUME_MISMATCH
 * @throws {FormatError} INVALID_MODEL when there are checkpoints and none is whole
 */
export function resumePoint(store: CheckpointStore, fingerprint: Fingerprint): ResumePoint {
  const steps = store.steps();
  const warnings: string[] = [];
  for (const step of steps) {
    let state: RunState;
    try {
      state = store.read(step);
    } catch (error) {
      if (!(error instanceof LoraToolError)) throw error;
      warnings.push(`step-${step} is no whole checkpoint and is passed over: ${error.message}`);
      continue;
    }
    assertSameRun(state.fingerprint, fingerprint, store.pathOf(step));
    return { state, warnings };
  }
  if (steps.length === 0)
    return { state: undefined, warnings: ["there is no checkpoint to resume from: starting anew"] };
  throw new FormatError("INVALID_MODEL", `none of its ${steps.length} checkpoints is whole: ${warnings[0] ?? ""}`, {
    file: store.pathOf(steps[0] ?? 0),
    hint: "start anew with --overwrite",
  });
}
