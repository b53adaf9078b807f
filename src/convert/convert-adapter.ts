/**
 * An adapter of one layout → the same adapter in another.
 *
 * What is about to be written is read back from its plan, as any other adapter, before it appears.
 */

import { join } from "node:path";
import type { Layout } from "../adapters/adapter.ts";
import type { LayoutWriter } from "../adapters/layouts/layout-writer.ts";
import { BASE_NOT_OPENED } from "../adapters/layouts/peft/warnings.ts";
import { openAdapter, readPlanned } from "../adapters/open-adapter.ts";
import { assertOutputName } from "../adapters/output/output-name.ts";
import { writeAdapter } from "../adapters/output/write-files.ts";
import { quote } from "../core/text.ts";
import { type FormatName, formatOf } from "../formats/registry.ts";
import { openBase } from "./open-base.ts";
import type { ConvertOptions } from "./options.ts";
import { prepareAdapter } from "./prepare.ts";
import { type AdapterConversion, describeModules, describeResult } from "./report.ts";

export interface AdapterTarget {
  readonly layout: Layout;
  /** Of the single file that is written; `undefined` for a folder. */
  readonly format: FormatName | undefined;
  /** Of the weights in a folder, where a name that announces no file stands for one. */
  readonly folderName?: string;
  readonly plan: LayoutWriter;
}

export async function convertAdapter(options: ConvertOptions, target: AdapterTarget): Promise<AdapterConversion> {
  const started = performance.now();
  assertOutputName(options.out, target.format, options.to);
  const opened = await openAdapter(options.input);
  const context = await openBase(options.base, opened);
  const adapter = prepareAdapter(opened, context, options.expertOrder);
  const plan = target.plan(adapter, context);
  const weightsName = plan.weightsName ?? (formatOf(options.out) === undefined ? target.folderName : undefined);
  const planned = { ...plan, weightsName };
  const after = readPlanned(target.layout, planned, options.out);
  const isNamed = options.base === undefined && context.baseConfig !== undefined;
  const report: AdapterConversion = {
    kind: "adapter",
    input: options.input,
    out: options.out,
    method: adapter.method,
    from: adapter.layout,
    to: target.layout,
    modules: describeModules(after),
    notes: [
      ...(isNamed
        ? [`what the base is like is taken from ${quote(adapter.baseModel ?? "")}, as the adapter says`]
        : []),
      ...planned.notes,
    ],
    warnings: [
      ...adapter.warnings.filter((line) => !isNamed || !line.startsWith(BASE_NOT_OPENED)),
      ...(context.base?.store.warnings ?? []),
    ],
  };
  if (options.dryRun) return report;
  const inputs = [...adapter.files, ...(context.base?.store.files ?? [])];
  const { overwrite, signal, onProgress } = options;
  const written = await writeAdapter(options.out, planned, { overwrite, signal, onProgress, inputs });
  const files = weightsName === undefined ? [options.out] : written.files.map((name) => join(options.out, name));
  return { ...report, result: { ...describeResult(written, (performance.now() - started) / 1000), files } };
}
