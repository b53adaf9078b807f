/**
 * A finished cell's folder → what it showed.
 */

import { join } from "node:path";
import { FormatError } from "../../core/errors.ts";
import type { StepRecord } from "../report/run-record.ts";
import { readMetrics } from "../run/metrics.ts";
import { type Cell, cellName } from "./cell.ts";
import type { CellResult } from "./cell-result.ts";
import { readCellRecord } from "./sweep-record.ts";

/** @throws {FormatError} INVALID_JSON when the folder's files are not those of a finished cell */
export function readCell(out: string, cell: Cell): CellResult {
  const folder = cellName(cell);
  const path = join(out, folder);
  const { modules, diverged } = readCellRecord(path);
  const steps = readMetrics(path).map((line) => readStep(line, path));
  return { ...cell, folder, modules, steps, diverged };
}

function readStep(line: Readonly<Record<string, unknown>>, file: string): StepRecord {
  const number = (key: string): number => {
    const value = line[key];
    if (typeof value === "number") return value;
    throw new FormatError("INVALID_JSON", `a line of metrics.jsonl has no number ${key}`, { file });
  };
  const [norms, evalLoss] = [line["norms"], line["eval_loss"]];
  return {
    step: number("step"),
    loss: number("loss"),
    gradNorm: number("grad_norm"),
    learningRate: number("lr"),
    tokens: number("tokens"),
    tokensPerSecond: number("tokens_per_second"),
    moduleGradNorms: Array.isArray(norms) ? norms.map(Number) : [],
    ...(typeof evalLoss === "number" && { evalLoss }),
  };
}
