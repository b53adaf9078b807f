/**
 * `combine`: several adapters of one base → one adapter, a PEFT folder.
 *
 * By default the deltas are combined and never the factors, so no products of one adapter's `up` with another's `down`
 * appear. Sums stand side by side, exactly; what has no exact factors is approximated, and the report says how well.
 */

import { join } from "node:path";
import type { Convention } from "../../../adapters/adapter.ts";
import { fullName } from "../../../adapters/full-name.ts";
import { carriedSettings } from "../../../adapters/layouts/peft/carried-settings.ts";
import { type PeftContent, planPeft, writePeft } from "../../../adapters/layouts/peft/write.ts";
import { openAdapter, readPlanned } from "../../../adapters/open-adapter.ts";
import { UnsupportedError, UsageError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/json.ts";
import { escapeText, quote } from "../../../core/text.ts";
import { stageOutput } from "../../../formats/output.ts";
import { publishStage } from "../../../formats/publish-stage.ts";
import { adapterFilesOf, repeated } from "../../inputs.ts";
import type { WeightedAdapter } from "../../provenance.ts";
import { summariseAdapter } from "../../report.ts";
import { type ChosenMethod, unusedParameters } from "../options.ts";
import { makeModules, type NewModule, needsDecomposition } from "./make-modules.ts";
import { type MatchedModule, matchModules } from "./match.ts";
import { assertOptions, type CombineOptions } from "./options.ts";
import { type CombineReport, describeModules } from "./report.ts";
import { joinWholeTensors, type WholeTensors } from "./whole-tensors.ts";

/**
 * @throws {MismatchError} ADAPTER_MISMATCH with every module and tensor that does not fit
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for adapters whose change depends on the base
 * @throws {FileError} for what stands in the way on disk; the output is then as it was
 */
export async function combine(options: CombineOptions): Promise<CombineReport> {
  const started = performance.now();
  const method = assertOptions(options);
  const { adapters, warnings } = await openAdapters(options);
  const matched = matchModules(adapters, options.expertOrder);
  assertFactors(matched, method, options);
  const whole = joinWholeTensors(adapters);
  const settings = commonSettings(adapters);
  const finish = (made: readonly NewModule[]) => contentOf(adapters, made, whole);
  const describe = (made: readonly NewModule[]): CombineReport => {
    const content = finish(made);
    const after = readPlanned("peft", planPeft(content, { settings }), options.out);
    const rows = made.map(({ module, adapters, result }) => ({ name: fullName(module), adapters, result }));
    return {
      out: options.out,
      method: method.name,
      factorWise: options.factorWise ?? false,
      adapters: adapters.map(summariseAdapter),
      convention: content.convention,
      modules: describeModules(rows, after, options.factorWise ?? false),
      warnings,
    };
  };
  if (options.dryRun) return describe(await makeModules(matched, method, options, undefined));

  const { out, overwrite = false, signal, onProgress } = options;
  const inputs = adapterFilesOf(adapters);
  const staged = stageOutput(out, { kind: "folder", overwrite, inputs });
  const [written, report] = await publishStage(staged, { inputs, signal }, async () => {
    const made = await makeModules(matched, method, options, staged.createScratch());
    return [await writePeft(staged, finish(made), { settings, signal, onProgress }), describe(made)] as const;
  });
  const files = written.files.map((name) => join(out, name));
  return { ...report, result: { bytes: written.bytes, seconds: (performance.now() - started) / 1000, files } };
}

async function openAdapters(
  options: CombineOptions,
): Promise<{ readonly adapters: readonly WeightedAdapter[]; readonly warnings: readonly string[] }> {
  const adapters: WeightedAdapter[] = [];
  const idle: string[] = [];
  for (const { path, weight = 1 } of options.adapters) {
    if (weight === 0) idle.push(`${escapeText(path)}: has weight 0 and is left out`);
    else adapters.push({ adapter: await openAdapter(path), weight });
  }
  if (adapters.length === 0) throw new UsageError("expected an adapter with a weight other than 0, got none");
  const bases = new Set(adapters.flatMap(({ adapter: { baseModel } }) => (baseModel === undefined ? [] : [baseModel])));
  const own = bases.size > 1 ? [`trained on different bases: ${[...bases].map(quote).join(", ")}`] : [];
  const warnings = [
    ...unusedParameters(options),
    ...idle,
    ...own,
    ...repeated(adapters),
    ...adapters.flatMap(({ adapter }) => adapter.warnings),
  ];
  return { adapters, warnings };
}

/** A residual of PiSSA or OLoRA belongs to its own factors. */
function assertFactors(matched: readonly MatchedModule[], method: ChosenMethod, options: CombineOptions): void {
  const changed = matched.find(({ parts: [{ module }] }) => module.residual !== undefined);
  if (changed === undefined || !(needsDecomposition(method) || options.factorWise)) return;
  throw new UnsupportedError("UNSUPPORTED_ADAPTER", "its initialisation changed the base, so its rank must stay", {
    subject: changed.name,
    hint: "merge it into its base, then extract an adapter from the two models",
  });
}

function contentOf(adapters: readonly WeightedAdapter[], made: readonly NewModule[], whole: WholeTensors): PeftContent {
  const [first] = adapters;
  const modules = made.map(({ module }) => {
    const baseWeight = whole.baseWeights.get(module.name);
    return baseWeight === undefined ? module : { ...module, baseWeight };
  });
  const baseModel = adapters.find(({ adapter }) => adapter.baseModel !== undefined)?.adapter.baseModel;
  return {
    modules,
    convention: conventionOf(adapters),
    overrides: whole.overrides,
    tokenRows: whole.tokenRows,
    keepsTie: first?.adapter.keepsTie ?? false,
    fanInFanOut: adapters.some(({ adapter }) => adapter.fanInFanOut),
    ...(baseModel !== undefined && { baseModel }),
  };
}

/** That of all adapters, if they agree. */
function conventionOf(adapters: readonly WeightedAdapter[]): Convention {
  const [first, ...others] = new Set(adapters.map(({ adapter }) => adapter.convention));
  return first === undefined || others.length > 0 ? "lora" : first;
}

/** What all PEFT adapters say alike about their task. */
function commonSettings(adapters: readonly WeightedAdapter[]): JsonObject {
  const tasks = new Set(adapters.map(({ adapter }) => carriedSettings(adapter).get("task_type")));
  const [task, ...others] = tasks;
  return task === undefined || others.length > 0 ? new Map() : new Map([["task_type", task]]);
}
