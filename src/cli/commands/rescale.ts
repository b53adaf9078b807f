/**
 * `lora-tool rescale`: flags → options of the library → its report in words.
 */

import { type Command, Option } from "commander";
import { SCALE_FORMULAS } from "../../adapters/adapter.ts";
import { escapeText } from "../../core/text.ts";
import type { RescaleOptions } from "../../rescale/options.ts";
import type { RescaledModule, RescaleReport } from "../../rescale/report.ts";
import type { Fact } from "../facts.ts";
import { formatFacts, roundedFact, writtenFact } from "../facts.ts";
import { formatChange, formatCount, formatNumber, formatTable } from "../format.ts";
import type { Io } from "../io.ts";
import { groupModules } from "../module-groups.ts";
import { addOutputOptions, expertOrderOption, type OutputFlags, parseAlpha } from "../options.ts";
import { printReport, printWarnings } from "../output.ts";
import { createProgressBar } from "../progress-bar.ts";

const EXAMPLES = `
Examples:
  $ lora-tool rescale ./adapter --to lora -o ./portable
  $ lora-tool rescale ./adapter --to rslora -o ./stable --dry-run
  $ lora-tool rescale ./adapter --to lora --bake --flatten -o ./flat
  $ lora-tool rescale ./adapter --to lora --alpha 16 -o ./alpha-16
  $ lora-tool rescale ./style.safetensors --to lora --bake -o ./style-baked.safetensors
  $ lora-tool rescale ./unmerged.onnx --to lora --bake -o ./baked.onnx
`;

interface RescaleFlags extends OutputFlags {
  readonly to: RescaleOptions["to"];
  readonly bake?: true;
  readonly flatten?: true;
  readonly alpha?: number;
  readonly expertOrder?: NonNullable<RescaleOptions["expertOrder"]>;
}

export function addRescaleCommand(program: Command, io: Io): void {
  const command = program
    .command("rescale")
    .summary("same adapter, other convention: alpha / rank or alpha / √rank")
    .description(
      "Writes the adapter under another convention, its behaviour unchanged: only alphas change, weights stay byte for byte.",
    )
    .argument("<adapter>", "adapter of any layout: a folder or a file; or an .onnx graph with LoRA branches");
  addOutputOptions(command)
    .addOption(
      new Option("--to <convention>", "lora: scale = alpha / rank; rslora: alpha / √rank")
        .choices(["lora", "rslora"])
        .makeOptionMandatory(),
    )
    .option("--bake", "fold every scale into lora_B and leave scale 1, for readers that ignore patterns or the flag")
    .option("--flatten", "with --bake or --alpha: pad all modules to one rank, so that no patterns are left")
    .option("--alpha <x>", "this alpha for every module; the remainder is folded into lora_B", parseAlpha)
    .addOption(expertOrderOption())
    .addHelpText("after", EXAMPLES)
    .action(async (adapter: string, flags: RescaleFlags) => {
      const { rescale } = await import("../../rescale/rescale.ts");
      const bar = createProgressBar(io, flags);
      const { json, quiet, ...options } = flags;
      const { signal } = io;
      const report = await rescale({ ...options, adapter, signal, onProgress: bar.onProgress }).finally(bar.clear);
      printWarnings(io, report.warnings, flags);
      printReport(io, report, flags, () => describeRescale(io, report));
    });
}

/** The report in words. */
function describeRescale(io: Io, report: RescaleReport): string {
  const { modules, result } = report;
  const exact = modules.filter((module) => module.exact).length;
  const facts: Fact[] = [
    ["adapter", `${escapeText(report.adapter)}: ${escapeText(report.method)}`],
    [
      "scale",
      report.from === report.convention
        ? SCALE_FORMULAS[report.convention]
        : `${SCALE_FORMULAS[report.from]} → ${SCALE_FORMULAS[report.convention]}`,
    ],
    [
      "exact",
      `${formatCount(exact)} of ${formatCount(modules.length)} modules${exact < modules.length ? INEXACT[report.weights] : ""}`,
    ],
    ["weights", report.weights === "same" ? "the same bytes" : "lora_B rewritten"],
    ...report.notes.map((note): Fact => ["note", note]),
  ];
  if (result !== undefined) {
    if (result.elements > 0) facts.push(roundedFact(result));
    facts.push(writtenFact(report.out, result));
  }
  return `${moduleTable(modules)}\n${formatFacts(io, facts)}`;
}

const INEXACT = {
  same: "; of the others the scale is 1 ulp off, no alpha gives it exactly",
  rewritten: "; of the others products are rounded",
} as const;

/** Modules that differ in nothing but the layer's number share a row. */
function moduleTable(modules: readonly RescaledModule[]): string {
  const folds = modules.some(({ factor }) => factor !== 1);
  const groups = groupModules(
    modules,
    ({ rank, rankAfter, alphaBefore, alphaAfter, scaleBefore, scaleAfter, factor }) => [
      formatChange(rank, rankAfter),
      formatChange(alphaBefore, alphaAfter),
      formatChange(scaleBefore, scaleAfter),
      ...(folds ? [`× ${formatNumber(factor)}`] : []),
    ],
  );
  const head = ["modules", "rank", "alpha", "scale", ...(folds ? ["lora_B"] : []), "name"];
  return formatTable([head, ...groups.map(({ count, cells, name }) => [String(count), ...cells, name])]);
}
