/**
 * `rescale`: the same adapter under another convention, alpha or scale.
 *
 * Without folding, only numbers in adapter_config.json change and the weights are copied byte for byte. What is about to
 * be written is read back as any other adapter, and must give every module the scale that was meant, before it appears.
 */

import { basename, join } from "node:path";
import type { Adapter } from "../adapters/adapter.ts";
import { ulpsBetween } from "../adapters/alpha.ts";
import { peftReader } from "../adapters/layouts/peft/read.ts";
import { writeScales } from "../adapters/layouts/peft/write-scales.ts";
import { collectCompanions } from "../adapters/output/companions.ts";
import type { Rounding } from "../adapters/output/multiply.ts";
import { MismatchError } from "../core/errors.ts";
import { parseJsonObject } from "../core/json-parser.ts";
import { quote } from "../core/text.ts";
import { assertUnchanged } from "../formats/byte-source.ts";
import { type StagedOutput, stageOutput } from "../formats/output.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import { copyInto, copyIntoSync, fillFileInPieces, fillFileSync } from "../formats/write-file.ts";
import { assertOptions, type RescaleOptions } from "./options.ts";
import { type OutputTensor, outputTensors } from "./output-tensors.ts";
import { planRescale, type RescalePlan } from "./plan.ts";
import { describeModules, type RescaledModule, type RescaleReport, sumRoundings } from "./report.ts";
import { openSource, type Source } from "./source.ts";
import { WeightsPieces } from "./weights-pieces.ts";

const WEIGHTS_NAME = "adapter_model.safetensors";
const SETTINGS_NAME = "adapter_config.json";

/**
 * Writes a PEFT folder whose deltas are those of the given adapter.
 *
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for adapters that have one convention only, and for scales that cannot
 *   be folded
 * @throws {NonFiniteError} when a folded factor overflows its dtype
 * @throws {FileError} for what stands in the way on disk; the output is then as it was
 */
export async function rescale(options: RescaleOptions): Promise<RescaleReport> {
  const started = performance.now();
  assertOptions(options);
  const source = await openSource(options.adapter);
  const plan = planRescale(source, options);
  const text = writeScales(source.text, source.settings, plan.settings);
  const tensors = outputTensors(source.store.tensors.values(), plan, options.expertOrder ?? "rank-major");
  const after = readBack(source, text, tensors);
  const modules = describeModules(plan, after, plan.rewrites ? undefined : new Map());
  assertScales(modules, options);
  const companions = collectCompanions(options.adapter, [basename(source.weights.path), WEIGHTS_NAME, SETTINGS_NAME]);
  const { adapter, settings } = source;
  const report: RescaleReport = {
    out: options.out,
    adapter: options.adapter,
    method: adapter.method,
    from: settings.convention,
    to: options.to,
    weights: plan.rewrites ? "rewritten" : "same",
    modules,
    warnings: [...adapter.warnings, ...companions.warnings, ...patternWarnings(plan)],
  };
  if (options.dryRun) return report;
  const written = await write({ source, plan, text, tensors, companions: companions.files }, options);
  return {
    ...report,
    modules: describeModules(plan, after, written.roundings),
    result: {
      ...sumRoundings(written.roundings),
      bytes: written.bytes,
      seconds: (performance.now() - started) / 1000,
      files: written.files,
    },
  };
}

/** The adapter that the output will be, from its settings and the shapes of its tensors. */
function readBack({ store, weights, settingsFile }: Source, text: string, tensors: readonly OutputTensor[]): Adapter {
  const shaped = tensors.map(({ name, shape, source }): [string, TensorData] => [name, { ...source, shape }]);
  const values = parseJsonObject(new TextEncoder().encode(text), { file: settingsFile.path });
  return peftReader.read({
    path: weights.path,
    store: { ...store, tensors: new Map(shaped) },
    settings: { path: settingsFile.path, values, identity: settingsFile },
  });
}

function assertScales(modules: readonly RescaledModule[], { bake, alpha, out }: RescaleOptions): void {
  const wrong = modules.filter(({ scaleBefore, scaleAfter, alphaAfter, factor }) => {
    if (bake) return scaleAfter !== 1;
    if (alpha !== undefined) return alphaAfter !== alpha || ulpsBetween(scaleAfter * factor, scaleBefore) > 1;
    return !(ulpsBetween(scaleAfter, scaleBefore) <= 1);
  });
  if (wrong.length === 0) return;
  const lines = wrong.map(({ name, scaleBefore, scaleAfter }) => `${quote(name)}: ${scaleBefore} became ${scaleAfter}`);
  throw new MismatchError("VERIFICATION_FAILED", "read back, the settings give other scales", lines, {
    file: out,
    hint: "nothing was written; the names of the modules may not be expressible as patterns",
  });
}

function patternWarnings({ settings }: RescalePlan): string[] {
  const keys = [
    ...(settings.rankPattern.size > 0 ? ["rank_pattern"] : []),
    ...(settings.alphaPattern.size > 0 ? ["alpha_pattern"] : []),
  ];
  if (keys.length === 0) return [];
  return [`the scales need ${keys.join(" and ")}; for readers that ignore patterns, use --bake --flatten`];
}

interface Written {
  readonly roundings: ReadonlyMap<string, Rounding>;
  readonly bytes: number;
  readonly files: readonly string[];
}

interface Content {
  readonly source: Source;
  readonly plan: RescalePlan;
  readonly text: string;
  readonly tensors: readonly OutputTensor[];
  readonly companions: ReadonlyMap<string, string>;
}

/** Everything from the staging folder to the rename. */
async function write(content: Content, options: RescaleOptions): Promise<Written> {
  const { source, text, companions } = content;
  const inputs = source.adapter.files;
  const staged = stageOutput(options.out, { kind: "folder", overwrite: options.overwrite ?? false, inputs });
  try {
    const { roundings, bytes } = await writeWeights(content, staged, options);
    fillFileSync(staged.createFile(SETTINGS_NAME), text);
    for (const [name, path] of companions) copyIntoSync(path, staged.createFile(name));
    for (const file of inputs) assertUnchanged(file);
    await staged.publish(options.signal);
    const files = [WEIGHTS_NAME, SETTINGS_NAME, ...companions.keys()].map((name) => join(options.out, name));
    return { roundings, bytes, files };
  } catch (error) {
    staged.discard();
    throw error;
  }
}

async function writeWeights(
  { source, plan, tensors }: Content,
  staged: StagedOutput,
  { onProgress, signal, adapter }: RescaleOptions,
): Promise<{ readonly roundings: ReadonlyMap<string, Rounding>; readonly bytes: number }> {
  const path = staged.createFile(WEIGHTS_NAME);
  const total = plan.rewrites ? outputBytes(tensors) : source.weights.size;
  staged.reserve(total);
  const report = (done: number) => onProgress?.({ phase: "write", done, total, unit: "bytes" });
  if (!plan.rewrites) {
    await copyInto(source.weights.path, path);
    report(total);
    return { roundings: new Map(), bytes: total };
  }
  const weights = new WeightsPieces(adapter);
  let bytes = 0;
  const counted = function* () {
    for (const piece of weights.of(tensors, source.store.metadata)) {
      yield piece;
      bytes += piece.byteLength;
      report(Math.min(bytes, total));
    }
  };
  await fillFileInPieces(path, counted(), signal);
  return { roundings: weights.roundings, bytes };
}

/** Without the header. */
function outputBytes(tensors: readonly OutputTensor[]): number {
  return tensors.reduce((sum, { source, padding }) => {
    const blocks = padding === undefined ? 0 : source.byteLength / padding.blockBytes;
    return sum + source.byteLength + blocks * (padding?.padBytes ?? 0);
  }, 0);
}
