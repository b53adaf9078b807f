/**
 * One line on a terminal: phase, bar, share, rate and time left. Nothing at all where stderr is no terminal.
 */

import type { OnProgress, ProgressEvent, ProgressPhase } from "../core/progress.ts";
import { escapeText } from "../core/text.ts";
import { formatBytes, formatCount, formatSeconds } from "./format.ts";
import type { Io } from "./io.ts";
import type { CommonFlags } from "./options.ts";
import { drawBar, StatusLine } from "./status-line.ts";

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
export interface ProgressBar {
  readonly onProgress: OnProgress | undefined;
  /** Takes the line off the terminal, so that results can follow. */
  clear(): void;
}

export function createProgressBar(io: Io, { quiet, json }: CommonFlags): ProgressBar {
  if (!io.interactive || quiet || json) return { onProgress: undefined, clear: () => {} };
  const line = new StatusLine(io);
  let phase: ProgressPhase | undefined;
  let startedAt = 0;
  const onProgress = (event: ProgressEvent) => {
    const now = performance.now();
    if (event.phase !== phase) {
      phase = event.phase;
      startedAt = now;
    }
    line.draw(() => progressLine(event, (now - startedAt) / 1000), event.done >= event.total);
  };
  return { onProgress, clear: () => line.clear() };
}

/** The line for one event, `seconds` after its phase began. */
function progressLine(event: ProgressEvent, seconds: number): string {
  const share = event.total === 0 ? 1 : event.done / event.total;
  const rate = seconds > 0 ? event.done / seconds : 0;
  const perSecond =
    event.unit === "bytes" ? `${formatBytes(rate)}/s` : `${formatCount(Math.round(rate))} ${event.unit}/s`;
  const left = rate > 0 ? formatSeconds((event.total - event.done) / rate) : "…";
  const subject = event.subject === undefined ? "" : `  ${escapeText(event.subject).slice(-40)}`;
  return `${LABELS[event.phase].padEnd(9)} ${drawBar(share)} ${String(Math.floor(share * 100)).padStart(3)} %  ${perSecond}  ${left} left${subject}`;
}
