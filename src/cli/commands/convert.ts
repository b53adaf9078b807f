/**
 * `lora-tool convert`: flags → options of the library → its report in words.
 */

import { type Command, Option } from "commander";
import type { ExpertOrder } from "../../adapters/adapter.ts";
import { CONVERT_TARGETS, type ConvertTarget } from "../../convert/options.ts";
import type { AdapterConversion, ConvertReport, ModelConversion } from "../../convert/report.ts";
import { escapeText } from "../../core/text.ts";
import { formatBytes, formatCount, formatScale, formatSeconds, formatTable } from "../format.ts";
import { type Io, paint } from "../io.ts";
import { addOutputOptions, expertOrderOption, type OutputOptions } from "../options.ts";
import { printReport, printWarnings } from "../output.ts";
import { createProgressBar } from "../progress-bar.ts";

const EXAMPLES = `
Examples:
  $ lora-tool convert ./style.safetensors --base ./unet --to peft -o ./style
  $ lora-tool convert ./adapter --base ./llama --to gguf -o adapter.gguf
  $ lora-tool convert ./adapter --to mlx -o ./adapter-mlx
  $ lora-tool convert ./adapter --to onnx-adapter -o adapter.onnx_adapter --dry-run
  $ lora-tool convert ./llama --to onnx -o llama.onnx
  $ lora-tool convert llama.onnx --to safetensors -o ./llama
  $ lora-tool convert ./llama --to onnx --link -o ./llama/model.onnx
`;

interface ConvertFlags extends OutputOptions {
  readonly to: ConvertTarget;
  readonly base?: string;
  readonly expertOrder?: ExpertOrder;
  readonly link?: true;
}

export function addConvertCommand(program: Command, io: Io): void {
  const command = program
    .command("convert")
    .summary("same adapter, other layout (PEFT, kohya, diffusers, MLX, GGUF …); same model, other container (ONNX)")
    .description(
      "Writes an adapter in the layout of another tool, or a model in another container: what they compute stays.",
    )
    .argument("<input>", "adapter of any layout, or a model: a folder or a file");
  addOutputOptions(command)
    .addOption(new Option("--to <layout>", "what to write").choices(CONVERT_TARGETS).makeOptionMandatory())
    .option("--base <path>", "the model that the adapter is for, where names or orders depend on it")
    .addOption(expertOrderOption())
    .option(
      "--link",
      "for onnx: refer to the weights in the .safetensors files below the output's folder, copy nothing",
    )
    .addHelpText("after", EXAMPLES)
    .action(async (input: string, flags: ConvertFlags) => {
      const { convert } = await import("../../convert/convert.ts");
      const bar = createProgressBar(io, flags.quiet === true || flags.json === true);
      const { json, quiet, ...options } = flags;
      const { signal } = io;
      const report = await convert({ ...options, input, signal, onProgress: bar.onProgress }).finally(bar.clear);
      printWarnings(io, report.warnings, flags);
      printReport(io, report, flags, () => describeConversion(io, report));
    });
}

/** The report in words. */
function describeConversion(io: Io, report: ConvertReport): string {
  const rows = report.kind === "adapter" ? adapterRows(report) : modelRows(report);
  return formatTable(rows.map(([label = "", text = ""]) => [paint(io.stdout, "bold", label.padEnd(8)), text]));
}

function modelRows(report: ModelConversion): string[][] {
  const { tensors, bytes, notes, result } = report;
  const rows = [
    ["model", `${escapeText(report.input)}: ${escapeText(report.modelType ?? "unknown type")}`],
    ["format", `${report.from} → ${report.to}`],
    ["weights", `${formatCount(tensors)} tensors, ${formatBytes(bytes)}`],
    ...notes.map((note) => ["note", note]),
  ];
  if (result !== undefined) {
    rows.push(["wrote", `${result.files.map(escapeText).join(", ")} in ${formatSeconds(result.seconds)}`]);
  }
  return rows;
}

function adapterRows(report: AdapterConversion): string[][] {
  const { modules, notes, result } = report;
  const scales = modules.map(({ scale }) => scale);
  const ranks = [...new Set(modules.map(({ rank }) => rank))].sort((a, b) => a - b);
  const rows = [
    ["adapter", `${escapeText(report.input)}: ${escapeText(report.method)}`],
    ["layout", `${report.from} → ${report.to}`],
    ...(modules.length > 0
      ? [["modules", `${formatCount(modules.length)}, rank ${ranks.join(", ")}, scale ${formatScale(rangeOf(scales))}`]]
      : []),
    ...notes.map((note) => ["note", note]),
  ];
  if (result !== undefined) {
    if (result.rounded > 0) {
      const error = `by at most ${result.largestError.toPrecision(2)} of their size`;
      rows.push([
        "rounded",
        `${formatCount(result.rounded)} of ${formatCount(result.elements)} multiplied elements, ${error}`,
      ]);
    }
    const written = `${formatBytes(result.bytes)} of weights in ${formatSeconds(result.seconds)}`;
    rows.push(["wrote", `${escapeText(report.out)}, ${written}`]);
  }
  return rows;
}

/** Least and greatest; 0 of none. */
function rangeOf(values: readonly number[]): readonly [number, number] {
  const [first = 0] = values;
  const widen = ([low, high]: readonly [number, number], value: number) =>
    [Math.min(low, value), Math.max(high, value)] as const;
  return values.reduce(widen, [first, first] as const);
}
