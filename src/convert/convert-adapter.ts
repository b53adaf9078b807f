/**
 * An adapter of one layout → the same adapter in another.
 *
 * What is about to be written is read back from its plan, as any other adapter, before it appears.
 */

import { join } from "node:path";
import type { Layout } from "../adapters/adapter.ts";
import type { LayoutWriter } from "../adapters/layouts/layout-writer.ts";
import { openAdapter, readPlanned } from "../adapters/open-adapter.ts";
import { writeAdapter } from "../adapters/output/write-files.ts";
import { openModel } from "../formats/open-model.ts";
import type { FormatName } from "../formats/registry.ts";
import type { ConvertOptions } from "./options.ts";
import { assertOutputName } from "./options.ts";
import { type ConvertReport, describeModules, describeResult } from "./report.ts";

export interface AdapterTarget {
  readonly layout: Layout;
  /** Of the single file that is written; `undefined` for a folder. */
  readonly format: FormatName | undefined;
  readonly plan: LayoutWriter;
}

export async function convertAdapter(options: ConvertOptions, target: AdapterTarget): Promise<ConvertReport> {
  const started = performance.now();
  assertOutputName(options, target.format);
  const adapter = await openAdapter(options.input);
  const base = options.base === undefined ? undefined : await openModel(options.base);
  const planned = target.plan(adapter, { base });
  const after = readPlanned(target.layout, planned, options.out);
  const report: ConvertReport = {
    kind: "adapter",
    input: options.input,
    out: options.out,
    method: adapter.method,
    from: adapter.layout,
    to: target.layout,
    modules: describeModules(after),
    notes: planned.notes,
    warnings: [...adapter.warnings, ...(base?.store.warnings ?? [])],
  };
  if (options.dryRun) return report;
  const inputs = [...adapter.files, ...(base?.store.files ?? [])];
  const { overwrite, signal, onProgress } = options;
  const written = await writeAdapter(options.out, planned, { overwrite, signal, onProgress, inputs });
  const files =
    planned.weightsName === undefined ? [options.out] : written.files.map((name) => join(options.out, name));
  return { ...report, result: { ...describeResult(written, (performance.now() - started) / 1000), files } };
}
