/**
 * What long work reports while it runs: plain values that the command line draws and other programs may log.
 */

export type ProgressPhase = "data" | "plan" | "factor" | "merge" | "hash" | "verify" | "write" | "train";

export interface ProgressEvent {
  readonly phase: ProgressPhase;
  /** Units done so far, out of `total`. */
  readonly done: number;
  readonly total: number;
  readonly unit: "bytes" | "tensors" | "modules" | "steps";
  /** What is being worked on, as found in the file (unescaped). */
  readonly subject?: string;
}

export type OnProgress = (event: ProgressEvent) => void;

/** The two options that every long call takes. */
export interface RunOptions {
  /** Stops the work; nothing half-written stays. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}
