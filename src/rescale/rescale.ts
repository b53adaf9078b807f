/**
 * `rescale`: the same adapter under another convention, alpha or scale, in its own layout or inside of its graph.
 *
 * Without folding, only numbers in the settings change and the weights are copied byte for byte. What is about to be written
 * is read back as any other adapter, and must give every module the scale that was meant, before it appears.
 */

import { basename, join } from "node:path";
import type { Layout } from "../adapters/adapter.ts";
import { readPlanned } from "../adapters/open-adapter.ts";
import { collectCompanions } from "../adapters/output/companions.ts";
import { assertOutputName } from "../adapters/output/output-name.ts";
import { writeAdapter } from "../adapters/output/write-files.ts";
import { type FormatName, formatOf } from "../formats/registry.ts";
import { assertScales } from "./assert-scales.ts";
import { rescaleGraph } from "./graph/rescale-graph.ts";
import { rescaleDiffusers } from "./layouts/diffusers.ts";
import { rescaleGguf } from "./layouts/gguf.ts";
import { rescaleKohya } from "./layouts/kohya.ts";
import { rescaleMlx } from "./layouts/mlx.ts";
import { rescaleOnnxAdapter } from "./layouts/onnx-adapter.ts";
import { rescalePeft } from "./layouts/peft.ts";
import type { Rescaler, RescaleSource } from "./layouts/rescaler.ts";
import { openSource } from "./open-source.ts";
import { assertOptions, type RescaleOptions } from "./options.ts";
import { rewrites } from "./plan.ts";
import { describeModules, describeRoundings, type RescaleReport } from "./report.ts";

interface LayoutRules {
  readonly plan: Rescaler;
  /** Of the single file that is written; `undefined` for a folder. */
  readonly format: FormatName | undefined;
}

const RULES: Record<Layout, LayoutRules> = {
  peft: { plan: rescalePeft, format: undefined },
  kohya: { plan: rescaleKohya, format: "safetensors" },
  diffusers: { plan: rescaleDiffusers, format: "safetensors" },
  mlx: { plan: rescaleMlx, format: undefined },
  gguf: { plan: rescaleGguf, format: "gguf" },
  "onnx-adapter": { plan: rescaleOnnxAdapter, format: "onnx-adapter" },
};

/**
 * Writes the adapter in its own layout with the same deltas.
 *
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for adapters that have one scale only, and for scales that cannot be folded
 * @throws {NonFiniteError} when a folded factor overflows its dtype
 * @throws {FileError} for what stands in the way on disk; the output is then as it was
 */
export async function rescale(options: RescaleOptions): Promise<RescaleReport> {
  const started = performance.now();
  assertOptions(options);
  if (formatOf(options.adapter) === "onnx") return rescaleGraph(options);
  const source = await openSource(options.adapter);
  const { adapter } = source;
  const { plan, format } = RULES[adapter.layout];
  assertOutputName(options.out, format, `an adapter of ${adapter.layout}'s layout`);
  const planned = plan(source, options);
  const after = readPlanned(adapter.layout, planned.output, options.out);
  const modules = describeModules(planned.modules, after.modules, rewrites(planned.modules) ? undefined : new Map());
  assertScales(modules, options);
  const weightsName = planned.output.weightsName ?? folderName(source, options.out);
  const own = [...adapter.files.map(({ path }) => basename(path)), ...planned.output.texts.keys()];
  const companions =
    weightsName === undefined ? NO_COMPANIONS : collectCompanions(options.adapter, [...own, weightsName]);
  const report: RescaleReport = {
    out: options.out,
    adapter: options.adapter,
    layout: adapter.layout,
    method: adapter.method,
    from: planned.from,
    to: options.to,
    convention: after.convention,
    weights: rewrites(planned.modules) ? "rewritten" : "same",
    modules,
    notes: planned.notes,
    warnings: [...adapter.warnings, ...companions.warnings],
  };
  if (options.dryRun) return report;
  const { overwrite, signal, onProgress } = options;
  const copied = planned.rewrites ? undefined : adapter.files[0]?.path;
  const written = await writeAdapter(
    options.out,
    { ...planned.output, weightsName, ...(copied !== undefined && { copyOf: copied }) },
    { overwrite, signal, onProgress, inputs: adapter.files, companions: companions.files },
  );
  return {
    ...report,
    modules: describeModules(planned.modules, after.modules, written.roundings),
    result: {
      ...describeRoundings(written.roundings),
      bytes: written.bytes,
      seconds: (performance.now() - started) / 1000,
      files: weightsName === undefined ? [options.out] : written.files.map((name) => join(options.out, name)),
    },
  };
}

const NO_COMPANIONS: ReturnType<typeof collectCompanions> = { files: new Map(), warnings: [] };

/** Of layouts of one file: a folder becomes a folder, unless the name of the output says that it is a file. */
function folderName({ adapter, store }: RescaleSource, out: string): string | undefined {
  return adapter.path === store.path || formatOf(out) !== undefined ? undefined : basename(store.path);
}
