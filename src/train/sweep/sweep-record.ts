/**
 * `sweep.json` at the top of a sweep: what its cells have in common and what they vary, so that only cells of one sweep come
 * into one report. Paths may differ between the machines of parts; contents may not.
 *
 * `cell.json` in a cell's folder is written last: a cell that has it is complete.
 */

import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Convention } from "../../adapters/adapter.ts";
import { FileError, FormatError, MismatchError } from "../../core/errors.ts";
import type { JsonValue } from "../../core/json.ts";
import { parseJsonObject } from "../../core/json-parser.ts";
import { MAX_CONFIG_BYTES, MAX_INDEX_BYTES } from "../../core/limits.ts";
import { VERSION } from "../../core/version.ts";
import { readSmallFile } from "../../formats/byte-source.ts";
import { type StagedOutput, stageOutput } from "../../formats/output.ts";
import { fillFileSync } from "../../formats/write-file.ts";
import type { TrainedModule } from "../report/run-record.ts";
import type { TrainReport } from "../report.ts";
import { differences } from "../run/differences.ts";
import { writeFile } from "../run/output-folder.ts";
import type { CellAxes } from "./cell.ts";
import type { SweepOptions } from "./options.ts";

const SWEEP_NAME = "sweep.json";
const CELL_NAME = "cell.json";

/** Options that change where and how fast a sweep runs, not what its cells compute; contents stand for paths. */
const FREE = new Set([
  "out",
  "base",
  "data",
  "evalData",
  "jobs",
  "part",
  "finish",
  "overwrite",
  "dryRun",
  "engine",
  "signal",
  "onProgress",
  "threads",
  "device",
  "saveEvery",
  "keepCheckpoints",
]);

/** What a sweep depends on, each in words. */
export type SweepSettings = Readonly<Record<string, string>>;

/** @param plan of a cell: hashes of the data, and a number for the base, whose files are too large to be read by every part */
export function settingsOf(
  options: SweepOptions,
  axes: CellAxes,
  { baseElements, data, evalData }: Pick<TrainReport, "baseElements" | "data" | "evalData">,
): SweepSettings {
  const given = Object.entries(options).filter(([name, value]) => !FREE.has(name) && value !== undefined);
  return {
    version: VERSION,
    engine: options.engine ?? "onnxruntime",
    ...Object.fromEntries(given.map(([name, value]) => [name, inWords(value)])),
    ...Object.fromEntries(Object.entries(axes).map(([name, values]) => [name, inWords(values)])),
    baseElements: String(baseElements),
    data: data.sha256,
    ...(evalData !== undefined && { evalData: evalData.sha256 }),
  };
}

/** Writes the record, or compares with the one that is there; other parts may do so at the same time. */
export async function claimFolder(out: string, settings: SweepSettings): Promise<void> {
  const path = join(out, SWEEP_NAME);
  const write = () => writeFile(out, SWEEP_NAME, (target) => fillFileSync(target, toJson(settings)));
  await whileBusy(async () => {
    if (!existsSync(path)) await write();
  });
  assertSameSweep(path, settings);
}

/** Whether a sweep lies there, this one or another. */
export function holdsSweep(out: string): boolean {
  return existsSync(join(out, SWEEP_NAME));
}

/** @throws {MismatchError} RESUME_MISMATCH listing every difference */
function assertSameSweep(path: string, settings: SweepSettings): void {
  const found = parseJsonObject(readSmallFile(path, MAX_CONFIG_BYTES).bytes, { file: path });
  const problems = differences("the folder", found, new Map(Object.entries(settings)));
  if (problems.length === 0) return;
  throw new MismatchError("RESUME_MISMATCH", "the folder holds another sweep:", problems, {
    file: path,
    hint: "choose another --out, or start over with --overwrite",
  });
}

export interface CellRecord {
  readonly modules: readonly TrainedModule[];
  /** Why the run ended early: its numbers were no longer finite. */
  readonly diverged: string | null;
}

export function isComplete(cellFolder: string): boolean {
  return existsSync(join(cellFolder, CELL_NAME));
}

/**
 * Takes a cell for this process: its record is opened at the start and published at the end. Another process that has the
 * cell, such as one whose parent was killed, is given time to end.
 *
 * @throws {FileError} OUTPUT_BUSY when it does not
 */
export async function claimCell(cellFolder: string): Promise<StagedOutput> {
  mkdirSync(cellFolder, { recursive: true });
  const rules = { kind: "file", overwrite: true, inputs: [] } as const;
  return whileBusy(async () => stageOutput(join(cellFolder, CELL_NAME), rules));
}

export async function publishCell(claim: StagedOutput, record: CellRecord): Promise<void> {
  fillFileSync(claim.createFile(CELL_NAME), toJson(record));
  await claim.publish();
}

/** How long another process may take to end, or to write what both would write. */
const MAX_WAIT_MS = 60_000;
const PAUSE_MS = 200;

async function whileBusy<Result>(act: () => Promise<Result>): Promise<Result> {
  for (let waited = 0; ; waited += PAUSE_MS) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof FileError && error.code === "OUTPUT_BUSY") || waited >= MAX_WAIT_MS) throw error;
      await setTimeout(PAUSE_MS);
    }
  }
}

/** @throws {FormatError} INVALID_JSON when the file is not such a record */
export function readCellRecord(cellFolder: string): CellRecord {
  const file = join(cellFolder, CELL_NAME);
  const record = parseJsonObject(readSmallFile(file, MAX_INDEX_BYTES).bytes, { file });
  const [modules, diverged] = [record.get("modules"), record.get("diverged")];
  if (!Array.isArray(modules) || !(diverged === null || typeof diverged === "string")) throw invalid(file);
  return { modules: modules.map((module: JsonValue) => readModule(module, file)), diverged };
}

function readModule(value: JsonValue, file: string): TrainedModule {
  if (!(value instanceof Map)) throw invalid(file);
  const [name, convention] = [value.get("name"), value.get("convention")];
  const number = (key: string): number => {
    const found = value.get(key);
    if (typeof found !== "number") throw invalid(file);
    return found;
  };
  if (typeof name !== "string" || (convention !== "lora" && convention !== "rslora")) throw invalid(file);
  return {
    name,
    convention: convention satisfies Convention,
    rank: number("rank"),
    alpha: number("alpha"),
    scale: number("scale"),
  };
}

function invalid(file: string): FormatError {
  return new FormatError("INVALID_JSON", "not the record of a cell", {
    file,
    hint: "remove the cell's folder and sweep again",
  });
}

function toJson(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function inWords(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
