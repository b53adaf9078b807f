/**
 * One line on a terminal: phase, bar, share, rate and time left. Nothing at all where stderr is no terminal.
 */

import type { OnProgress, ProgressEvent, ProgressPhase } from "../core/progress.ts";
import { escapeText } from "../core/text.ts";
import { formatBytes, formatCount, formatSeconds } from "./format.ts";
import type { Io } from "./io.ts";

const LABELS: Record<ProgressPhase, string> = {
  data: "reading",
  plan: "planning",
  factor: "factoring",
  merge: "merging",
  hash: "hashing",
  verify: "verifying",
  write: "writing",
  train: "training",
};
const BAR_WIDTH = 24;
const REDRAW_MS = 80;

export interface ProgressBar {
  readonly onProgress: OnProgress | undefined;
  /** Takes the line off the terminal, so that results can follow. */
  clear(): void;
}

export function createProgressBar(io: Io, quiet: boolean): ProgressBar {
  if (!io.interactive || quiet) return { onProgress: undefined, clear: () => {} };
  let drawnAt = 0;
  let phase: ProgressPhase | undefined;
  let startedAt = 0;
  const onProgress = (event: ProgressEvent) => {
    const now = performance.now();
    if (event.phase !== phase) {
      phase = event.phase;
      startedAt = now;
    }
    if (now - drawnAt < REDRAW_MS && event.done < event.total) return;
    drawnAt = now;
    // A line that wraps cannot be taken back.
    const columns = (io.stderr as Partial<NodeJS.WriteStream>).columns || 80;
    io.stderr.write(`\r\u001b[K${progressLine(event, (now - startedAt) / 1000).slice(0, columns - 1)}`);
  };
  const clear = () => {
    if (phase !== undefined) io.stderr.write("\r\u001b[K");
    phase = undefined;
  };
  return { onProgress, clear };
}

/** The line for one event, `seconds` after its phase began. */
export function progressLine(event: ProgressEvent, seconds: number): string {
  const share = event.total === 0 ? 1 : event.done / event.total;
  const filled = Math.round(share * BAR_WIDTH);
  const bar = "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
  const rate = seconds > 0 ? event.done / seconds : 0;
  const perSecond =
    event.unit === "bytes" ? `${formatBytes(rate)}/s` : `${formatCount(Math.round(rate))} ${event.unit}/s`;
  const left = rate > 0 ? formatSeconds((event.total - event.done) / rate) : "…";
  const subject = event.subject === undefined ? "" : `  ${escapeText(event.subject).slice(-40)}`;
  return `${LABELS[event.phase].padEnd(9)} ${bar} ${String(Math.floor(share * 100)).padStart(3)} %  ${perSecond}  ${left} left${subject}`;
}
