/**
 * `lora-tool inspect`: what is in a file or folder, in words.
 */

import type { Command } from "commander";
import { formatShape } from "../../core/shape.ts";
import { escapeText } from "../../core/text.ts";
import type { InspectedAdapter, InspectedModel, InspectReport } from "../../inspect/inspect.ts";
import { PROVENANCE_KEY } from "../../merge/provenance.ts";
import type { Fact } from "../facts.ts";
import { formatFacts } from "../facts.ts";
import { formatBytes, formatCount, formatNumber, formatTable } from "../format.ts";
import type { Io } from "../io.ts";
import { groupModules } from "../module-groups.ts";
import { addReadingOptions, type CommonFlags } from "../options.ts";
import { printReport, printWarnings } from "../output.ts";
import { graphFacts, parameterTable } from "./inspect-graph.ts";
import { describeProvenance } from "./inspect-provenance.ts";

const EXAMPLES = `
Examples:
  $ lora-tool inspect ./adapter
  $ lora-tool inspect ./llama --tensors
  $ lora-tool inspect ./adapter --json
`;

interface InspectFlags extends CommonFlags {
  readonly tensors?: true;
}

export function addInspectCommand(program: Command, io: Io): void {
  const command = program
    .command("inspect")
    .summary("what is in a file: format, tensors, ranks, effective scales")
    .description("Shows what an adapter or a model holds, read from headers only.")
    .argument("<path>", "adapter or model: a folder, or a file of any format");
  addReadingOptions(command, "taken as by every command; nothing is written")
    .option("--tensors", "list every tensor")
    .addHelpText("after", EXAMPLES)
    .action(async (path: string, flags: InspectFlags) => {
      const { inspect } = await import("../../inspect/inspect.ts");
      const { json, quiet, tensors, ...options } = flags;
      const report = await inspect({ ...options, path, signal: io.signal });
      printWarnings(io, report.warnings, flags);
      printReport(io, report, flags, () => describe(io, report, tensors === true));
    });
}

function describe(io: Io, report: InspectReport, withTensors: boolean): string {
  const facts = report.kind === "adapter" ? adapterFacts(report) : modelFacts(report);
  const dtypes = report.dtypes.map(
    ({ dtype, tensors, elements, bytes }): Fact => [
      dtype,
      `${formatCount(tensors)} tensors, ${formatCount(elements)} elements, ${formatBytes(bytes)}`,
    ],
  );
  const text = formatFacts(io, [...facts, ...dtypes]);
  const table = withTensors ? tensorTable(report) : "";
  return [text, report.kind === "adapter" ? moduleTable(report) : weightTable(report), table]
    .filter(Boolean)
    .join("\n");
}

function adapterFacts(report: InspectedAdapter): Fact[] {
  const facts: Fact[] = [
    ["adapter", escapeText(report.path)],
    ["method", `${escapeText(report.method)} (${report.layout} layout, ${report.format})`],
    ["scale", report.convention === "rslora" ? "alpha / √rank" : "alpha / rank"],
  ];
  if (report.baseModel !== undefined) facts.push(["base", escapeText(report.baseModel)]);
  if (report.overrides.length > 0) facts.push(["replaces", report.overrides.map(escapeText).join(", ")]);
  for (const { name, rows } of report.tokenRows) facts.push(["rows", `${formatCount(rows)} of ${escapeText(name)}`]);
  return facts;
}

function modelFacts(report: InspectedModel): Fact[] {
  const facts: Fact[] = [
    ["model", escapeText(report.path)],
    ["type", `${escapeText(report.modelType ?? "unknown: no config.json")} (${report.format})`],
    ["tied", report.tied ? "yes: one tensor is input embedding and output head" : "no"],
  ];
  if (report.quantised !== undefined) {
    facts.push(["weights", `quantised (${escapeText(report.quantised)}): deltas cannot be added to them`]);
  }
  if (report.graph !== undefined) facts.push(...graphFacts(report.graph));
  for (const { name, bytes } of report.files) facts.push(["file", `${escapeText(name)}, ${formatBytes(bytes)}`]);
  for (const [key, text] of Object.entries(report.metadata)) {
    const merges = key === PROVENANCE_KEY ? describeProvenance(text) : [];
    facts.push(...merges.map((merge): Fact => ["merged", merge]));
    if (merges.length > 0) continue;
    const shown = text.includes("\n") ? `${formatBytes(Buffer.byteLength(text))} of text` : escapeText(text);
    facts.push(["metadata", `${escapeText(key)}: ${shown}`]);
  }
  return facts;
}

/** Modules that differ in nothing but the layer's number share a row. */
function moduleTable({ modules }: InspectedAdapter): string {
  const groups = groupModules(modules, ({ kind, method, rank, alpha, scale }) => [
    kind,
    method,
    String(rank),
    formatNumber(alpha),
    formatNumber(scale),
  ]);
  const head = ["modules", "kind", "method", "rank", "alpha", "scale", "name"];
  return formatTable([head, ...groups.map(({ count, cells, name }) => [String(count), ...cells, name])]);
}

function weightTable({ graph, tensors }: InspectedModel): string {
  if (graph !== undefined) return parameterTable(graph);
  const groups = groupModules(tensors, ({ dtype, shape }) => [dtype, formatShape(shape)]);
  const rows = groups.map(({ count, cells, rows, name }) => [
    String(count),
    ...cells,
    formatBytes(rows.reduce((sum, { bytes }) => sum + bytes, 0)),
    name,
  ]);
  return formatTable([["tensors", "dtype", "shape", "bytes", "name"], ...rows]);
}

function tensorTable({ tensors }: InspectReport): string {
  const rows = tensors.map(({ name, dtype, shape, bytes, file }) => [
    dtype,
    formatShape(shape),
    formatBytes(bytes),
    escapeText(file),
    escapeText(name),
  ]);
  return formatTable([["dtype", "shape", "bytes", "file", "tensor"], ...rows]);
}
