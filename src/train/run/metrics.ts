/**
 * metrics.jsonl, one line a step, and module-norms.jsonl, the gradient norms of the modules for the report. Lines are
 * appended as steps end; a run that goes on drops those after its checkpoint.
 */

import { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { FormatError, toFileError } from "../../core/errors.ts";
import type { StepRecord } from "../report/run-record.ts";
import type { StepEvent } from "./events.ts";

const METRICS_NAME = "metrics.jsonl";
const NORMS_NAME = "module-norms.jsonl";
export const METRICS_FILES = [METRICS_NAME, NORMS_NAME] as const;

export class MetricsWriter {
  readonly #path: string;
  readonly #descriptors: readonly [metrics: number, norms: number];

  /** @param from steps that stay */
  constructor(out: string, from: number) {
    this.#path = join(out, METRICS_NAME);
    this.#descriptors = [openAfter(this.#path, from), openAfter(join(out, NORMS_NAME), from)];
  }

  /** An evaluation after the step stands in its line. */
  write(step: StepEvent): void {
    const [metrics, norms] = this.#descriptors;
    const { evaluation } = step;
    const line = {
      step: step.step,
      loss: step.loss,
      grad_norm: step.gradNorm,
      lr: step.learningRate,
      tokens: step.tokens,
      tokens_per_second: Number(step.tokensPerSecond.toPrecision(6)),
      ...(evaluation && { eval_loss: evaluation.loss, eval_perplexity: evaluation.perplexity }),
    };
    this.#append(metrics, line);
    this.#append(norms, { step: step.step, norms: step.moduleGradNorms.map((norm) => Number(norm.toPrecision(6))) });
  }

  close(): void {
    for (const descriptor of this.#descriptors) closeSync(descriptor);
  }

  #append(descriptor: number, line: object): void {
    try {
      writeSync(descriptor, `${JSON.stringify(line)}\n`);
    } catch (error) {
      throw toFileError(error, this.#path);
    }
  }
}

/**
 * The steps that the files tell of; a last line that was cut short is left out.
 *
 * @throws {FormatError} INVALID_JSON for a line that lacks a number
 */
export function readSteps(out: string): StepRecord[] {
  const norms = new Map(linesOf(join(out, NORMS_NAME)).map((line) => [line["step"], line["norms"]]));
  return linesOf(join(out, METRICS_NAME)).map((line) => {
    const number = (key: string): number => {
      const value = line[key];
      if (typeof value === "number") return value;
      throw new FormatError("INVALID_JSON", `a line of ${METRICS_NAME} has no number ${key}`, { file: out });
    };
    const [moduleNorms, evalLoss] = [norms.get(line["step"]), line["eval_loss"]];
    return {
      step: number("step"),
      loss: number("loss"),
      gradNorm: number("grad_norm"),
      learningRate: number("lr"),
      tokens: number("tokens"),
      tokensPerSecond: number("tokens_per_second"),
      moduleGradNorms: Array.isArray(moduleNorms) ? moduleNorms.map(Number) : [],
      ...(typeof evalLoss === "number" && { evalLoss }),
    };
  });
}

function openAfter(path: string, from: number): number {
  const kept = linesOf(path).filter(({ step }) => typeof step === "number" && step <= from);
  try {
    writeFileSync(path, kept.map((line) => `${JSON.stringify(line)}\n`).join(""));
    return openSync(path, "a");
  } catch (error) {
    throw toFileError(error, path);
  }
}

function linesOf(path: string): Record<string, unknown>[] {
  return readText(path)
    .split("\n")
    .flatMap((line) => {
      try {
        const value: unknown = JSON.parse(line);
        return typeof value === "object" && value !== null ? [value as Record<string, unknown>] : [];
      } catch {
        return [];
      }
    });
}

/** Empty where no file is; one that cannot be read is not taken for an empty one, which would be written over. */
function readText(path: string): string {
  try {
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  } catch (error) {
    throw toFileError(error, path);
  }
}
