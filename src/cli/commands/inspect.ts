/**
 * `lora-tool inspect`: what is in a file or folder, in words.
 */

import type { Command } from "commander";
import { formatShape } from "../../core/shape.ts";
import { escapeText } from "../../core/text.ts";
import type { InspectedAdapter, InspectedModel, InspectReport } from "../../inspect/inspect.ts";
import { formatBytes, formatCount, formatTable } from "../format.ts";
import { type Io, paint } from "../io.ts";
import { addCommonOptions, type CommonOptions } from "../options.ts";
import { printReport, printWarnings } from "../output.ts";
import { graphFacts, parameterTable } from "./inspect-graph.ts";

const EXAMPLES = `
Examples:
  $ lora-tool inspect ./adapter
  $ lora-tool inspect ./llama --tensors
  $ lora-tool inspect ./adapter --json
`;

interface InspectFlags extends CommonOptions {
  readonly tensors?: true;
}

export function addInspectCommand(program: Command, io: Io): void {
  const command = program
    .command("inspect")
    .summary("what is in a file: format, tensors, ranks, effective scales")
    .description("Shows what an adapter or a model holds, read from headers only.")
    .argument("<path>", "adapter or model: a folder or a .safetensors file");
  addCommonOptions(command)
    .option("--tensors", "list every tensor")
    .addHelpText("after", EXAMPLES)
    .action(async (path: string, flags: InspectFlags) => {
      const { inspect } = await import("../../inspect/inspect.ts");
      const report = await inspect({ path });
      printWarnings(io, report.warnings, flags);
      printReport(io, report, flags, () => describe(io, report, flags.tensors === true));
    });
}

function describe(io: Io, report: InspectReport, withTensors: boolean): string {
  const facts = report.kind === "adapter" ? adapterFacts(report) : modelFacts(report);
  const dtypes = report.dtypes.map(({ dtype, tensors, elements, bytes }) => [
    dtype,
    `${formatCount(tensors)} tensors, ${formatCount(elements)} elements, ${formatBytes(bytes)}`,
  ]);
  const text = formatTable(
    [...facts, ...dtypes].map(([label = "", value = ""]) => [paint(io.stdout, "bold", label), value]),
  );
  const parameters = report.kind === "model" && report.graph !== undefined ? `\n${parameterTable(report.graph)}` : "";
  const modules = report.kind === "adapter" ? `\n${moduleTable(report)}` : parameters;
  return text + modules + (withTensors ? `\n${tensorTable(report)}` : "");
}

function adapterFacts(report: InspectedAdapter): string[][] {
  const facts = [
    ["adapter", escapeText(report.path)],
    ["method", `${escapeText(report.method)} (${report.layout} layout, ${report.format})`],
    ["scale", report.convention === "rslora" ? "alpha / √rank" : "alpha / rank"],
  ];
  if (report.baseModel !== undefined) facts.push(["base", escapeText(report.baseModel)]);
  if (report.overrides.length > 0) facts.push(["replaces", report.overrides.map(escapeText).join(", ")]);
  for (const { name, rows } of report.tokenRows) facts.push(["rows", `${formatCount(rows)} of ${escapeText(name)}`]);
  return facts;
}

function modelFacts(report: InspectedModel): string[][] {
  const facts = [
    ["model", escapeText(report.path)],
    ["type", `${escapeText(report.modelType ?? "unknown: no config.json")} (${report.format})`],
    ["tied", report.tied ? "yes: one tensor is input embedding and output head" : "no"],
  ];
  if (report.graph !== undefined) facts.push(...graphFacts(report.graph));
  for (const { name, bytes } of report.files) facts.push(["file", `${escapeText(name)}, ${formatBytes(bytes)}`]);
  for (const [key, text] of Object.entries(report.metadata)) {
    const shown = text.includes("\n") ? `${formatBytes(Buffer.byteLength(text))} of text` : escapeText(text);
    facts.push(["metadata", `${escapeText(key)}: ${shown}`]);
  }
  return facts;
}

/** Modules that differ in nothing but the layer's number share a row. */
function moduleTable({ modules }: InspectedAdapter): string {
  const groups = new Map<string, { row: string[]; count: number }>();
  for (const { name, kind, method, rank, alpha, scale } of modules) {
    const row = [
      escapeText(name).replace(/\.\d+(?=\.|$)/g, ".*"),
      kind,
      method,
      String(rank),
      formatNumber(alpha),
      formatNumber(scale),
    ];
    const group = groups.get(row.join("\n")) ?? { row, count: 0 };
    group.count++;
    groups.set(row.join("\n"), group);
  }
  const rows = [...groups.values()].map(({ row, count }) => [String(count), ...row.slice(1), row[0] ?? ""]);
  return formatTable([["modules", "kind", "method", "rank", "alpha", "scale", "name"], ...rows]);
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

function formatNumber(value: number): string {
  return String(Number(value.toPrecision(6)));
}
