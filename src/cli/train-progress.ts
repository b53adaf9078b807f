/**
 * How a run shows itself on a terminal: one line that is redrawn, with loss, speed and time left; lines for what stays.
 */

import type { OnProgress, ProgressEvent } from "../core/progress.ts";
import { escapeText } from "../core/text.ts";
import type { StepEvent, TrainEvent } from "../train/run/events.ts";
import { formatCount, formatSeconds } from "./format.ts";
import { type Io, paint } from "./io.ts";
import type { CommonFlags } from "./options.ts";
import { createProgressBar } from "./progress-bar.ts";
import { drawBar, StatusLine } from "./status-line.ts";

/** Steps over which loss and speed are averaged. */
const WINDOW = 20;

export interface TrainProgress {
  /** Reading data, before the first step. */
  readonly onProgress: OnProgress | undefined;
  readonly onEvent: ((event: TrainEvent) => void) | undefined;
  /** Takes the line off the terminal, so that results can follow. */
  clear(): void;
}

export function createTrainProgress(io: Io, flags: CommonFlags): TrainProgress {
  if (flags.quiet || flags.json) return { onProgress: undefined, onEvent: undefined, clear: () => {} };
  const reading = createProgressBar(io, flags);
  const line = new StatusLine(io);
  const startedAt = performance.now();
  const recent: StepEvent[] = [];
  let firstStep = 0;
  const clear = () => {
    reading.clear();
    line.clear();
  };
  const say = (text: string) => {
    clear();
    io.stderr.write(`${text}\n`);
  };
  const onEvent = (event: TrainEvent) => {
    if (event.kind === "warning") return say(`${paint(io.stderr, "yellow", "warning:")} ${event.message}`);
    if (event.kind === "checkpoint") return say(`checkpoint: ${escapeText(event.path)}`);
    firstStep ||= event.step;
    recent.push(event);
    if (recent.length > WINDOW) recent.shift();
    const { evaluation, step, totalSteps } = event;
    if (evaluation !== undefined) {
      const best = evaluation.isBest ? ", the best so far" : "";
      say(
        `step ${step}: eval loss ${evaluation.loss.toFixed(4)}, perplexity ${evaluation.perplexity.toPrecision(4)}${best}`,
      );
    }
    if (!io.interactive) return;
    const perStep = (performance.now() - startedAt) / 1000 / (step - firstStep + 1);
    line.draw(() => trainLine(recent, perStep * (totalSteps - step)), step >= totalSteps);
  };
  const onProgress = (event: ProgressEvent) => {
    if (event.phase === "data") reading.onProgress?.(event);
  };
  return { onProgress, onEvent, clear };
}

/** The line after the last of `recent` steps. */
function trainLine(recent: readonly StepEvent[], secondsLeft: number): string {
  const last = recent.at(-1);
  if (last === undefined) return "";
  const bar = drawBar(last.step / last.totalSteps);
  const tokens = recent.reduce((sum, step) => sum + step.tokens, 0);
  const loss = recent.reduce((sum, step) => sum + step.loss * step.tokens, 0) / Math.max(1, tokens);
  const seconds = recent.reduce((sum, step) => sum + step.tokens / step.tokensPerSecond, 0);
  const rate = formatCount(Math.round(tokens / seconds));
  return `training  ${bar} ${last.step}/${last.totalSteps}  loss ${loss.toFixed(3)}  ${rate} tokens/s  ${formatSeconds(secondsLeft)} left`;
}
