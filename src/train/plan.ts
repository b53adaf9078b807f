/**
 * Everything that is known before the first step: the base, what of it is trained, the rows, and how many steps there are.
 * Headers and data only; the base's weights are not read.
 */

import { CONVENTION_NAMES } from "../adapters/adapter.ts";
import { MismatchError, UsageError } from "../core/errors.ts";
import { elementCount } from "../core/shape.ts";
import { quote } from "../core/text.ts";
import { type InitialAdapter, openInitialAdapter } from "./adapter/initial-adapter.ts";
import { partShapes, partsOf } from "./adapter/parts.ts";
import { type SavedWeight, selectSaved } from "./adapter/saved-modules.ts";
import { type SelectedModule, selectModules } from "./adapter/select-modules.ts";
import { type Advice, adviseLearningRate } from "./advice.ts";
import type { Base } from "./base/base.ts";
import { openBase } from "./base/open-base.ts";
import { Batches } from "./data/batches.ts";
import { type Dataset, openDataset } from "./data/open-dataset.ts";
import type { TrainOptions } from "./options.ts";
import type { TrainReport } from "./report.ts";
import { Windows } from "./run/windows.ts";
import { resolveSettings, type TrainSettings } from "./settings.ts";
import { estimateMemory } from "./step/estimate-memory.ts";
import type { StepGraphOptions } from "./step/step-graph.ts";

/** Rows that a dry run shows. */
const PREVIEWS = 3;

export interface TrainPlan {
  readonly settings: TrainSettings;
  readonly base: Base;
  readonly initial: InitialAdapter | undefined;
  readonly modules: readonly SelectedModule[];
  readonly saved: readonly SavedWeight[];
  readonly data: Dataset;
  readonly evalData: Dataset | undefined;
  readonly windows: Windows;
  readonly totalSteps: number;
  readonly graphOptions: Omit<StepGraphOptions, "rows" | "length" | "gradients">;
  readonly report: TrainReport;
}

export async function planTraining(options: TrainOptions): Promise<TrainPlan> {
  const initial = options.initAdapter === undefined ? undefined : await openInitialAdapter(options.initAdapter);
  const settings = resolveSettings(options, initial?.settings);
  const base = await openBase(options.base);
  const own = options.targetModules === undefined ? initial : undefined;
  const modules = selectTargets(base, settings, own);
  const saved = selectSaved(base, settings.adapter.modulesToSave, modules);
  const maxLength = Math.min(settings.run.maxLength, base.maxLength);
  const open = (path: string, previews: number) =>
    openDataset({
      path,
      previews,
      maxLength,
      vocabulary: base.vocabulary,
      tokenizerFolder: base.tokenizerFolder,
      splitTurns: options.splitTurns,
      signal: options.signal,
      onProgress: options.onProgress,
    });
  const data = await open(options.data, options.dryRun ? PREVIEWS : 0);
  const evalData = options.evalData === undefined ? undefined : await open(options.evalData, 0);
  const { batchSize, seed, shuffle, packing, gradAccum } = settings.run;
  assertBatchesFit(base, settings.run);
  const packTo = packing ? maxLength : undefined;
  const batches = new Batches(data.sequences, { batchSize, seed, shuffle, packTo, fixed: base.fixed });
  const windows = new Windows(batches, gradAccum);
  const totalSteps = settings.run.steps ?? Math.ceil(settings.run.epochs * windows.stepsPerEpoch);
  const graphOptions = {
    base,
    modules,
    saved: saved.map(({ name }) => name),
    dora: settings.adapter.dora,
    dropout: settings.adapter.dropout > 0,
    chunkRows: options.logitRows ?? logitRows(base.vocabulary),
    recompute: options.checkpointBlocks ?? false,
  };
  const plan = { settings, base, initial, modules, saved, data, evalData, windows, totalSteps, graphOptions };
  const report = describePlan(options, plan);
  if (!options.dryRun) return { ...plan, report };
  const rows = Math.min(batchSize, data.sequences.length);
  const shape = { rows, length: batches.buckets.at(-1) ?? 1 };
  const memory = estimateMemory({ ...graphOptions, ...shape }, report.trainable, settings);
  return { ...plan, report: { ...report, memory } };
}

/** @param named the adapter whose settings name the targets, where no option does */
function selectTargets(base: Base, settings: TrainSettings, named: InitialAdapter | undefined): SelectedModule[] {
  try {
    return selectModules(base.layers, settings.adapter);
  } catch (error) {
    if (named === undefined || !(error instanceof UsageError)) throw error;
    const problem = `${quote(error.subject ?? "")}: ${error.problem}`;
    throw new MismatchError("ADAPTER_MISMATCH", "the adapter is for another model:", [problem], {
      file: named.path,
      hint: "give the base that the adapter was made for, or other targets with --target-modules",
      cause: error,
    });
  }
}

/** Elements of logits that exist at a time: 64 MB. */
const LOGIT_ELEMENTS = 2 ** 24;

/** Below 128 rows the head's weight is read so often that it shows. */
function logitRows(vocabulary: number): number {
  return Math.min(1024, Math.max(128, Math.floor(LOGIT_ELEMENTS / vocabulary)));
}

/** @throws {UsageError} for rows that the base cannot take as they are to be laid out */
function assertBatchesFit({ fixed, packs, path }: Base, { batchSize, packing }: TrainSettings["run"]): void {
  if (packing && !packs) {
    throw new UsageError("the file has masks of its own, which let packed rows see each other", {
      file: path,
      subject: "--packing",
      hint: "leave it out, or train on the model's folder instead of an .onnx file",
    });
  }
  if (fixed.rows !== undefined && batchSize > fixed.rows) {
    throw new UsageError(`the file was exported for ${fixed.rows} rows, expected as many at most, got ${batchSize}`, {
      file: path,
      subject: "--batch-size",
      hint: `pass --batch-size ${fixed.rows}, and --grad-accum for more rows a step, or export with dynamic axes`,
    });
  }
}

function describePlan(options: TrainOptions, plan: Omit<TrainPlan, "report">): TrainReport {
  const { settings, base, modules, saved, data, evalData, windows, totalSteps } = plan;
  const { convention, dora } = settings.adapter;
  const reports = modules.map((selected) => {
    const shapes = partShapes(selected);
    const parameters = partsOf(selected, dora).reduce((sum, part) => sum + (elementCount(shapes[part]) ?? 0), 0);
    const { rank, alpha, scale } = selected;
    return { name: selected.layer.module, rank, alpha, scale, parameters };
  });
  const elementsOf = (names: Iterable<string>) =>
    [...names].reduce((sum, name) => sum + (elementCount(base.weights.get(name)?.shape ?? []) ?? 0), 0);
  const advice = adviceFor(settings, base);
  return {
    out: options.out,
    base: options.base,
    data: data.summary,
    evalData: evalData?.summary,
    convention,
    method: `${CONVENTION_NAMES[convention]}${dora ? " (DoRA)" : ""}`,
    modules: reports,
    savedWeights: saved.map(({ parameter }) => parameter),
    trainable: reports.reduce((sum, { parameters }) => sum + parameters, 0) + elementsOf(saved.map(({ name }) => name)),
    baseElements: elementsOf(base.weights.keys()),
    stepsPerEpoch: windows.stepsPerEpoch,
    totalSteps,
    advice,
    warnings: [
      ...base.warnings,
      ...data.summary.warnings,
      ...(evalData?.summary.warnings ?? []),
      ...planWarnings(settings, options.maxLength, base),
      ...advice.warnings,
    ],
  };
}

/** For the rank and alpha of modules that no pattern names. */
function adviceFor({ adapter, optimiser }: TrainSettings, { layers }: Base): Advice {
  const table = layers.find(({ kind }) => kind === "embedding");
  return adviseLearningRate({
    ...adapter,
    optimizer: optimiser.optimizer,
    // LoRA+ steps `up` faster, and `up` is what the first step moves.
    learningRate: optimiser.learningRate * optimiser.loraPlusRatio,
    width: table?.outputs ?? layers[0]?.inputs ?? 1,
  });
}

function planWarnings({ adapter }: TrainSettings, maxLength: number | undefined, base: Base): string[] {
  const warnings: string[] = [];
  if (adapter.init === "gaussian" && adapter.convention === "rslora") {
    warnings.push(
      "--init gaussian has a variance of 1/rank², which undoes what rsLoRA's scale is for: its proof needs one that does not depend on the rank",
    );
  }
  if (maxLength !== undefined && maxLength > base.maxLength) {
    warnings.push(`--max-length ${maxLength} is beyond the positions of the model: rows are cut at ${base.maxLength}`);
  }
  return warnings;
}
