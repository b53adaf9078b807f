/**
 * `lora-tool convert`: flags → options of the library → its report in words.
 */

import { type Command, Option } from "commander";
import type { ExpertOrder } from "../../adapters/adapter.ts";
import { CONVERT_TARGETS, type ConvertTarget } from "../../convert/options.ts";
import type { AdapterConversion, ConvertReport, ModelConversion } from "../../convert/report.ts";
import { escapeText } from "../../core/text.ts";
import type { Fact } from "../facts.ts";
import { formatFacts, roundedFact, writtenFact } from "../facts.ts";
import { formatBytes, formatCount, formatRange, formatSeconds } from "../format.ts";
import type { Io } from "../io.ts";
import { addOutputOptions, expertOrderOption, type OutputFlags } from "../options.ts";
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

interface ConvertFlags extends OutputFlags {
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
      const bar = createProgressBar(io, flags);
      const { json, quiet, ...options } = flags;
      const { signal } = io;
      const report = await convert({ ...options, input, signal, onProgress: bar.onProgress }).finally(bar.clear);
      printWarnings(io, report.warnings, flags);
      printReport(io, report, flags, () => describeConversion(io, report));
    });
}

/** The report in words. */
function describeConversion(io: Io, report: ConvertReport): string {
  const facts = report.kind === "adapter" ? adapterFacts(report) : modelFacts(report);
  return formatFacts(io, facts);
}

function modelFacts(report: ModelConversion): Fact[] {
  const { tensors, bytes, notes, result } = report;
  const facts: Fact[] = [
    ["model", `${escapeText(report.input)}: ${escapeText(report.modelType ?? "unknown type")}`],
    ["format", `${report.from} → ${report.to}`],
    ["weights", `${formatCount(tensors)} tensors, ${formatBytes(bytes)}`],
    ...notes.map((note): Fact => ["note", note]),
  ];
  if (result !== undefined) {
    facts.push(["wrote", `${result.files.map(escapeText).join(", ")} in ${formatSeconds(result.seconds)}`]);
  }
  return facts;
}

function adapterFacts(report: AdapterConversion): Fact[] {
  const { modules, notes, result } = report;
  const scales = modules.map(({ scale }) => scale);
  const ranks = [...new Set(modules.map(({ rank }) => rank))].sort((a, b) => a - b);
  const facts: Fact[] = [
    ["adapter", `${escapeText(report.input)}: ${escapeText(report.method)}`],
    ["layout", `${report.from} → ${report.to}`],
  ];
  if (modules.length > 0) {
    facts.push(["modules", `${formatCount(modules.length)}, rank ${ranks.join(", ")}, scale ${formatRange(scales)}`]);
  }
  facts.push(...notes.map((note): Fact => ["note", note]));
  if (result !== undefined) {
    if (result.rounded > 0) facts.push(roundedFact(result));
    facts.push(writtenFact(report.out, result));
  }
  return facts;
}
