/**
 * `resize`: the best approximation of each delta by a lower rank (Eckart, Young 1936), computed from the factors in double
 * precision; the delta itself is never formed.
 *
 * Layout, convention and the scale of every module stay; alpha follows from them. Magnitudes of DoRA, biases and whole
 * tensors stay as they are: of DoRA the delta inside of the norm is approximated.
 */

import { basename, join } from "node:path";
import type { Adapter, AdapterModule } from "../../adapters/adapter.ts";
import type { PlannedAdapter } from "../../adapters/layouts/layout-writer.ts";
import { PEFT_SETTINGS_NAME, PEFT_WEIGHTS_NAME } from "../../adapters/layouts/peft/write.ts";
import { type CutJob, cutAll } from "../../adapters/low-rank/cut.ts";
import { factorTensors } from "../../adapters/low-rank/factor-job.ts";
import { relativeError } from "../../adapters/low-rank/relative-error.ts";
import { type DoneJob, scratchBytes } from "../../adapters/low-rank/run-jobs.ts";
import { openAdapter, readPlanned } from "../../adapters/open-adapter.ts";
import { collectCompanions } from "../../adapters/output/companions.ts";
import { assertOutputName } from "../../adapters/output/output-name.ts";
import { fillStage } from "../../adapters/output/write-files.ts";
import { stageOutput } from "../../formats/output.ts";
import { publishStage } from "../../formats/publish-stage.ts";
import { assertOptions, type ResizeOptions } from "./options.ts";
import { type PlannedModule, planResize } from "./plan.ts";
import { describeModules, type ResizeReport } from "./report.ts";
import { targetOf } from "./targets.ts";

/**
 * Writes the adapter in its own layout.
 *
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for deltas that are no product of two factors
 * @throws {NonFiniteError} naming the module whose factors hold NaN or infinity
 * @throws {FileError} for what stands in the way on disk; the output is then as it was
 */
export async function resize(options: ResizeOptions): Promise<ResizeReport> {
  const started = performance.now();
  assertOptions(options);
  const adapter = await openAdapter(options.adapter);
  const { format, plan: planFiles } = targetOf(adapter);
  assertOutputName(options.out, format, `an adapter of ${adapter.layout}'s layout`);
  const plan = planResize(adapter, options);
  const cuts = plan.flatMap(({ cut }) => (cut === undefined ? [] : [cut]));
  const companions = companionsOf(adapter, format === undefined);
  const describeDone = (done: readonly DoneJob<CutJob>[], planned: PlannedAdapter) =>
    describe({ adapter, plan, done, planned, warnings: companions.warnings }, options);
  if (options.dryRun) {
    const done = await cutAll(cuts, undefined, options);
    return describeDone(done, planFiles(contentOf(adapter, plan, done), adapter));
  }

  const { out, overwrite = false, signal, onProgress } = options;
  const kind = format === undefined ? "folder" : "file";
  const staged = stageOutput(out, { kind, overwrite, inputs: adapter.files });
  const [written, report] = await publishStage(staged, { inputs: adapter.files, signal }, async () => {
    staged.reserve(scratchBytes(cuts));
    const done = await cutAll(cuts, staged.createScratch(), options);
    const planned = planFiles(contentOf(adapter, plan, done), adapter);
    const more = { companions: companions.files, signal, onProgress };
    return [await fillStage(staged, planned, more, basename(out)), describeDone(done, planned)] as const;
  });
  const files = kind === "file" ? [out] : written.files.map((name) => join(out, name));
  return { ...report, result: { bytes: written.bytes, seconds: (performance.now() - started) / 1000, files } };
}

/** Tokenizer, model card and the like, where the adapter is a folder and stays one. */
function companionsOf({ path, files, layout }: Adapter, isFolder: boolean): ReturnType<typeof collectCompanions> {
  if (!isFolder) return { files: new Map(), warnings: [] };
  const written = layout === "peft" ? [PEFT_WEIGHTS_NAME, PEFT_SETTINGS_NAME] : [];
  return collectCompanions(path, [...written, ...files.map((file) => basename(file.path))]);
}

/** The adapter with the new factors. */
function contentOf(adapter: Adapter, plan: readonly PlannedModule[], done: readonly DoneJob<CutJob>[]): Adapter {
  const results = new Map(done.map((one) => [one.job.sums, one]));
  const modules = plan.map(({ module, cut, inputShape }): AdapterModule => {
    const made = cut === undefined ? undefined : results.get(cut.sums);
    if (made === undefined) return module;
    const { job, result } = made;
    const { expertLayout, ...rest } = module;
    return {
      ...rest,
      rank: result.rank,
      // Of a plan that is only measured, nothing is read.
      delta: { kind: "lora", ...factorTensors(job, job.place ?? { path: "", offset: 0 }, result.rank, inputShape) },
      ...(expertLayout && { expertLayout: { ...expertLayout, order: "rank-major" } }),
    };
  });
  return { ...adapter, modules };
}

interface Resized {
  readonly adapter: Adapter;
  readonly plan: readonly PlannedModule[];
  readonly done: readonly DoneJob<CutJob>[];
  readonly planned: PlannedAdapter;
  readonly warnings: readonly string[];
}

function describe({ adapter, plan, done, planned, warnings }: Resized, options: ResizeOptions): ResizeReport {
  const after = readPlanned(adapter.layout, planned, options.out);
  const results = new Map(done.map(({ job, result }) => [job.sums, result]));
  const ofModules = plan.map(({ cut }) => (cut === undefined ? undefined : results.get(cut.sums)));
  return {
    out: options.out,
    adapter: options.adapter,
    method: adapter.method,
    layout: adapter.layout,
    convention: adapter.convention,
    modules: describeModules(adapter.modules, after, ofModules),
    error: relativeError(
      ofModules,
      adapter.modules.map(({ scale }) => scale),
    ),
    notes: planned.notes,
    warnings: [...adapter.warnings, ...warnings, ...doraWarnings(adapter)],
  };
}

function doraWarnings({ modules }: Adapter): string[] {
  if (modules.every(({ magnitude }) => magnitude === undefined)) return [];
  return ["DoRA: the magnitudes stay, the errors are those of the deltas inside of the norm"];
}
