/**
 * `resize`: the best approximation of each delta by a lower rank (Eckart, Young 1936), computed from the factors in double
 * precision; the delta itself is never formed.
 *
 * Convention and scale of every module stay; alpha follows from them. Magnitudes of DoRA, biases and whole tensors stay as
 * they are: of DoRA the delta inside of the norm is approximated.
 */

import { basename, join } from "node:path";
import type { Adapter, AdapterModule } from "../../adapters/adapter.ts";
import { carriedSettings } from "../../adapters/layouts/peft/carried-settings.ts";
import { PEFT_SETTINGS_NAME, PEFT_WEIGHTS_NAME, planPeft, writePeft } from "../../adapters/layouts/peft/write.ts";
import { type CutJob, cutAll } from "../../adapters/low-rank/cut.ts";
import { factorTensors } from "../../adapters/low-rank/factor-job.ts";
import { type DoneJob, scratchBytes } from "../../adapters/low-rank/run-jobs.ts";
import { openAdapter, readPlanned } from "../../adapters/open-adapter.ts";
import { collectCompanions } from "../../adapters/output/companions.ts";
import { assertUnchanged } from "../../formats/byte-source.ts";
import { stageOutput } from "../../formats/output.ts";
import { assertOptions, type ResizeOptions } from "./options.ts";
import { type PlannedModule, planResize } from "./plan.ts";
import { describeModules, errorOf, type ResizeReport } from "./report.ts";

/**
 * Writes a PEFT folder.
 *
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for deltas that are no product of two factors
 * @throws {NonFiniteError} naming the module whose factors hold NaN or infinity
 * @throws {FileError} for what stands in the way on disk; the output is then as it was
 */
export async function resize(options: ResizeOptions): Promise<ResizeReport> {
  const started = performance.now();
  assertOptions(options);
  const adapter = await openAdapter(options.adapter);
  const plan = planResize(adapter, options);
  const cuts = plan.flatMap(({ cut }) => (cut === undefined ? [] : [cut]));
  const names = [PEFT_WEIGHTS_NAME, PEFT_SETTINGS_NAME, ...adapter.files.map(({ path }) => basename(path))];
  const companions = collectCompanions(options.adapter, names);
  const warnings = [...adapter.warnings, ...companions.warnings, ...doraWarnings(adapter)];
  if (options.dryRun) {
    const done = await cutAll(cuts, undefined, options);
    return describe(adapter, plan, content(adapter, plan, done), done, warnings, options);
  }

  const { out, overwrite = false } = options;
  const staged = stageOutput(out, { kind: "folder", overwrite, inputs: adapter.files });
  try {
    staged.reserve(scratchBytes(cuts));
    const done = await cutAll(cuts, staged.createScratch(), options);
    const resized = content(adapter, plan, done);
    const settings = carriedSettings(adapter);
    const { signal, onProgress } = options;
    const written = await writePeft(staged, resized, { settings, companions: companions.files, signal, onProgress });
    const report = describe(adapter, plan, resized, done, warnings, options);
    for (const file of adapter.files) assertUnchanged(file);
    await staged.publish(signal);
    const files = written.files.map((name) => join(out, name));
    return { ...report, result: { bytes: written.bytes, seconds: (performance.now() - started) / 1000, files } };
  } catch (error) {
    staged.discard();
    throw error;
  }
}

/** The adapter with the new factors. */
function content(adapter: Adapter, plan: readonly PlannedModule[], done: readonly DoneJob<CutJob>[]): Adapter {
  const results = new Map<CutJob["sums"], DoneJob<CutJob>>(done.map((one) => [one.job.sums, one]));
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

function describe(
  adapter: Adapter,
  plan: readonly PlannedModule[],
  resized: Adapter,
  done: readonly DoneJob<CutJob>[],
  warnings: readonly string[],
  options: ResizeOptions,
): ResizeReport {
  const planned = planPeft(resized, { settings: carriedSettings(adapter) });
  const after = readPlanned("peft", planned, options.out);
  const results = new Map(done.map(({ job, result }) => [job.sums, result]));
  const ofModules = plan.map(({ cut }) => (cut === undefined ? undefined : results.get(cut.sums)));
  return {
    out: options.out,
    adapter: options.adapter,
    method: adapter.method,
    convention: adapter.convention,
    modules: describeModules(adapter.modules, after, ofModules),
    error: errorOf(
      ofModules,
      adapter.modules.map(({ scale }) => scale),
    ),
    warnings,
  };
}

function doraWarnings({ modules }: Adapter): string[] {
  if (modules.every(({ magnitude }) => magnitude === undefined)) return [];
  return ["DoRA: the magnitudes stay, the errors are those of the deltas inside of the norm"];
}
