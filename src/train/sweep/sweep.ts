/**
 * `sweep`: one training run for each rank, convention, learning rate and seed, then one report that compares them.
 *
 *   <out>/rank-8-lora-lr-0.0002-seed-42/   a PEFT folder with its metrics.jsonl, for each cell
 *   <out>/report.json, <out>/report.html   when all cells are complete
 *
 * Cells that are complete are not trained again, so that a sweep that was stopped goes on where it was.
 */

import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { FileError, MismatchError, toFileError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import { openEngine } from "../../engine/engine.ts";
import { makeFolders } from "../../formats/make-folders.ts";
import { listFolder } from "../../formats/model-folder.ts";
import { fillFileSync } from "../../formats/write-file.ts";
import type { TrainReport } from "../report.ts";
import { REPORT_NAME, writeFile } from "../run/output-folder.ts";
import { train } from "../train.ts";
import { type Cell, cellName, cellsOfPart, planCells } from "./cell.ts";
import type { CellJob } from "./cell-process.ts";
import { assertSweepOptions, axesOf, type SweepOptions } from "./options.ts";
import { readCell } from "./read-cell.ts";
import { describeResult, type SweepFacts, type SweepResult, writeSweepReport } from "./report.ts";
import { type CellRun, runCells } from "./run-cells.ts";
import { claimFolder, holdsSweep, isComplete, settingsOf } from "./sweep-record.ts";

const REPORT_JSON = "report.json";

/** What report.json holds is absent for a part, and under `dryRun`. */
export interface SweepReport extends Partial<SweepResult> {
  readonly out: string;
  /** Those of this call: all, or those of its part. */
  readonly planned: readonly (Cell & { readonly folder: string })[];
  readonly stepsPerCell: number;
  readonly warnings: readonly string[];
  /** Cells that this call has trained; the others were complete. */
  readonly trained?: number;
  readonly seconds?: number;
}

/**
 * @throws {UsageError} naming the option that is wrong
 * @throws {MismatchError} RESUME_MISMATCH when the folder holds another sweep, PARTS_MISMATCH when cells are missing
 * @throws {InterruptedError} after the signal, with a checkpoint saved in each cell at work
 */
export async function sweep(options: SweepOptions): Promise<SweepReport> {
  assertSweepOptions(options);
  const axes = axesOf(options);
  const all = planCells(axes);
  const cells = options.part === undefined ? all : cellsOfPart(all, options.part);
  const { out, jobs = 1, overwrite = false } = options;
  assertOwnFolder(out, overwrite);
  const plan = await planFirst(options, all);
  const warnings = [...plan.warnings];
  const planned = cells.map((cell) => ({ ...cell, folder: cellName(cell) }));
  const report = { out, planned, stepsPerCell: plan.totalSteps, warnings };
  if (options.dryRun) return report;
  const started = performance.now();
  const startsOver = overwrite && options.part === undefined && options.finish !== true;
  if (startsOver) await assertDevice(options);
  openFolder(out, startsOver);
  const settings = settingsOf(options, axes, plan);
  await claimFolder(out, settings);
  const missing = cells.filter((cell) => !isComplete(join(out, cellName(cell))));
  if (options.finish && missing.length > 0) throw missingCells(out, missing);
  const progress = createProgress(options, cells, missing, plan.totalSteps);
  await runCells(
    missing.map((cell) => runOf(options, cell, jobs)),
    {
      jobs,
      signal: options.signal,
      onStep: progress,
      onDone: (name, cellWarnings) => {
        progress(name, plan.totalSteps);
        warnings.push(...cellWarnings.filter((text) => !warnings.includes(text)));
      },
    },
  );
  const seconds = (performance.now() - started) / 1000;
  const done = { ...report, trained: missing.length, seconds };
  if (options.part !== undefined) return done;
  const facts: SweepFacts = { base: options.base, data: options.data, optimizer: options.optimizer ?? "adamw" };
  const startsPlain = isPlainStart(options);
  const results = all.map((cell) => ({ ...readCell(out, cell), startsPlain }));
  const result = describeResult(facts, results);
  await writeFile(out, REPORT_JSON, (path) => fillFileSync(path, `${JSON.stringify(result, undefined, 1)}\n`));
  await writeFile(out, REPORT_NAME, (path) => fillFileSync(path, writeSweepReport(facts, settings, results)));
  return { ...done, ...result };
}

/** Cells open the device for themselves; where there is none, what an earlier sweep left stays. */
async function assertDevice({ device = "auto", engine = "onnxruntime" }: SweepOptions): Promise<void> {
  const opened = await openEngine({ device, engine, purpose: "train" });
  await opened.close();
}

/** Checks inputs and options as the first cell will, before anything is written. */
async function planFirst(options: SweepOptions, cells: readonly Cell[]): Promise<TrainReport> {
  const [first] = cells;
  if (first === undefined) throw new Error("a sweep without cells");
  return train({ ...runOf(options, first, 1).job, dryRun: true });
}

function isPlainStart({ init = "default", dora = false, modulesToSave = [] }: SweepOptions): boolean {
  return init === "default" && !dora && modulesToSave.length === 0;
}

/** A folder that holds something else than a sweep is never written into. */
function assertOwnFolder(out: string, overwrite: boolean): void {
  if (overwrite || holdsSweep(out) || isEmptyOrAbsent(out)) return;
  throw new FileError("OUTPUT_EXISTS", "the folder is not empty and holds no sweep", {
    file: out,
    hint: "choose another --out, or put the sweep there with --overwrite",
  });
}

function isEmptyOrAbsent(folder: string): boolean {
  try {
    return listFolder(folder).length === 0;
  } catch (error) {
    if (error instanceof FileError && error.code === "FILE_NOT_FOUND") return true;
    throw error;
  }
}

/** Makes the folder; an earlier sweep's cells and reports go when it starts over. */
function openFolder(out: string, startOver: boolean): void {
  try {
    makeFolders(out);
    if (!startOver) return;
    const own = /^(?:rank-\d+-(?:lora|rslora)-lr-[\d.e+-]+-seed-\d+|sweep\.json|report\.json|report\.html)$/;
    for (const name of listFolder(out)) if (own.test(name)) rmSync(join(out, name), { recursive: true });
  } catch (error) {
    throw toFileError(error, out);
  }
}

function runOf(options: SweepOptions, cell: Cell, jobs: number): CellRun {
  const { ranks, scalings, lrs, seeds, jobs: _, part, finish, dryRun, signal, onProgress, ...common } = options;
  const name = cellName(cell);
  const threads = options.threads ?? Math.max(1, Math.floor(availableParallelism() / jobs));
  const job: CellJob = {
    ...common,
    ...cell,
    threads,
    out: join(options.out, name),
    overwrite: true,
  };
  return { name, job };
}

/** Steps of all cells of this call, those of complete cells included. */
function createProgress(
  { onProgress }: SweepOptions,
  cells: readonly Cell[],
  missing: readonly Cell[],
  steps: number,
): (name: string, done: number) => void {
  const counts = new Map<string, number>();
  const before = (cells.length - missing.length) * steps;
  return (name, done) => {
    counts.set(name, done);
    const sum = [...counts.values()].reduce((a, b) => a + b, before);
    onProgress?.({ phase: "train", done: sum, total: cells.length * steps, unit: "steps", subject: name });
  };
}

function missingCells(out: string, missing: readonly Cell[]): MismatchError {
  const problems = missing.map((cell) => `${quote(cellName(cell))} is not complete`);
  return new MismatchError("PARTS_MISMATCH", "not all cells have been trained:", problems, {
    file: out,
    hint: "run each --part i/n with the same flags, then --finish",
  });
}
