/**
 * `extract`: the difference of two models → a PEFT adapter.
 *
 * Weights of layers become factors of the asked rank or energy, with scale 1; everything else that changed is carried as a
 * whole. Both models are read by tiles, so memory does not depend on their size.
 */

import { join } from "node:path";
import type { AdapterModule } from "../../adapters/adapter.ts";
import { describeArchitecture } from "../../adapters/architecture/architecture.ts";
import { architecturesOf } from "../../adapters/architecture/tied-embedding.ts";
import { fullName } from "../../adapters/full-name.ts";
import { type PeftContent, planPeft, writePeft } from "../../adapters/layouts/peft/write.ts";
import { factorTensors } from "../../adapters/low-rank/factor-job.ts";
import { relativeError } from "../../adapters/low-rank/relative-error.ts";
import { type DoneJob, runFactorJobs, scratchBytes } from "../../adapters/low-rank/run-jobs.ts";
import { readPlanned } from "../../adapters/open-adapter.ts";
import { MismatchError, UnsupportedError } from "../../core/errors.ts";
import type { JsonObject, JsonValue } from "../../core/json.ts";
import { openModel } from "../../formats/open-model.ts";
import { stageOutput } from "../../formats/output.ts";
import { publishStage } from "../../formats/publish-stage.ts";
import type { DifferenceJob } from "./difference-job.ts";
import { assertOptions, type ExtractOptions } from "./options.ts";
import { type ExtractPlan, planExtract, type Side } from "./plan.ts";
import type { ExtractedModule, ExtractReport } from "./report.ts";

/**
 * @throws {MismatchError} ADAPTER_MISMATCH with every tensor that has no counterpart; NOTHING_CHANGED
 * @throws {NonFiniteError} naming the tensor whose difference is not finite
 * @throws {FileError} for what stands in the way on disk; the output is then as it was
 */
export async function extract(options: ExtractOptions): Promise<ExtractReport> {
  const started = performance.now();
  assertOptions(options);
  const [base, tuned] = [await openSide(options.base), await openSide(options.tuned)];
  const plan = planExtract(base, tuned);
  if (plan.differences.length === 0 && plan.overrides.length === 0) throw nothingChanged(options);
  const jobs = plan.differences.map((difference) => jobOf(difference, options));
  const settings = { device: options.device ?? "auto" };
  const module = new URL("./worker.js", import.meta.url);
  const run = (scratch: string | undefined) =>
    runFactorJobs<DifferenceJob>({ jobs, module, settings, scratch }, options);
  const warnings = [base, tuned].flatMap(({ model }) => model.store.warnings);
  if (options.dryRun) return describe(plan, await run(undefined), warnings, base, options);

  const { out, overwrite = false, signal, onProgress } = options;
  const inputs = [base, tuned].flatMap(({ model }) => model.store.files);
  const staged = stageOutput(out, { kind: "folder", overwrite, inputs });
  const [written, report] = await publishStage(staged, { inputs, signal }, async () => {
    // How much an energy needs is known at the end.
    if (options.rank !== undefined) staged.reserve(scratchBytes(jobs));
    const done = await run(staged.createScratch());
    const described = describe(plan, done, warnings, base, options);
    const content = contentOf(plan, done, options);
    return [await writePeft(staged, content, { settings: taskOf(base), signal, onProgress }), described] as const;
  });
  const files = written.files.map((name) => join(out, name));
  return { ...report, result: { bytes: written.bytes, seconds: (performance.now() - started) / 1000, files } };
}

async function openSide(path: string): Promise<Side> {
  const model = await openModel(path);
  if (model.graph !== undefined) {
    throw new UnsupportedError("UNSUPPORTED_FORMAT", "differences of ONNX graphs are not extracted", {
      file: path,
      hint: "extract from the safetensors models that they were made from",
    });
  }
  return { model, architecture: describeArchitecture(model) };
}

function jobOf(difference: ExtractPlan["differences"][number], options: ExtractOptions): Omit<DifferenceJob, "place"> {
  const { base, tuned, rows, columns, turned, experts } = difference;
  const { dtype = "f32", rank, energy, exact: isExact = false } = options;
  const [outputs, inputs] = turned ? [columns, rows] : [rows, columns];
  const target = { energy, ...(rank !== undefined && { rank: Math.min(rank, rows, columns) }) };
  const about = { kind: "difference", name: fullName(difference), file: options.tuned } as const;
  const sizes = { experts, outputs, inputs, rows, columns };
  return { ...about, ...sizes, target, dtypes: { up: dtype, down: dtype }, base, tuned, turned, isExact };
}

/** The adapter: modules that changed, and whole tensors. */
function contentOf(
  { differences, overrides }: ExtractPlan,
  done: readonly DoneJob<DifferenceJob>[],
  { base }: ExtractOptions,
): PeftContent {
  const modules = differences.flatMap(({ name, parameter, kind, expertLayout, inputShape }, index): AdapterModule[] => {
    const made = done[index];
    if (made === undefined || made.result.rank === 0) return [];
    const { job, result } = made;
    const { rank } = result;
    const factors = factorTensors(job, job.place ?? { path: "", offset: 0 }, rank, inputShape);
    const more = { ...(parameter !== undefined && { parameter }), ...(expertLayout && { expertLayout }) };
    return [{ name, ...more, kind, delta: { kind: "lora", ...factors }, rank, alpha: rank, scale: 1 }];
  });
  return { modules, convention: "lora", overrides, baseModel: base };
}

function describe(
  plan: ExtractPlan,
  done: readonly DoneJob<DifferenceJob>[],
  warnings: readonly string[],
  base: Side,
  options: ExtractOptions,
): ExtractReport {
  const content = contentOf(plan, done, options);
  if (content.modules.length === 0 && plan.overrides.length === 0) throw nothingChanged(options);
  const changed = done.filter(({ result }) => result.rank > 0);
  const after = readPlanned("peft", planPeft(content, { settings: taskOf(base) }), options.out);
  const results = new Map(changed.map(({ job, result }) => [job.name, result]));
  return {
    out: options.out,
    base: options.base,
    tuned: options.tuned,
    modules: after.modules.map((module): ExtractedModule => {
      const { kind, rank, alpha, scale } = module;
      const name = fullName(module);
      return { name, kind, rank, alpha, scale, error: relativeError([results.get(name)]) };
    }),
    overrides: plan.overrides.map(({ name, value: { shape } }) => ({ name, shape })),
    unchanged: plan.unchanged + done.length - changed.length,
    error: relativeError(changed.map(({ result }) => result)),
    warnings,
  };
}

/** What PEFT asks of a model with this head. */
function taskOf({ model }: Side): JsonObject {
  const [name = ""] = architecturesOf(model);
  const isCausal = /(?:ForCausalLM|LMHeadModel)$/.test(name);
  return isCausal ? new Map<string, JsonValue>([["task_type", "CAUSAL_LM"]]) : new Map();
}

function nothingChanged({ tuned }: ExtractOptions): MismatchError {
  return new MismatchError("NOTHING_CHANGED", "the two models hold the same numbers", [], { file: tuned });
}
