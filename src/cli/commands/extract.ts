/**
 * `lora-tool extract`: flags → options of the library → its report in words.
 */

import { type Command, Option } from "commander";
import { escapeText, summarise } from "../../core/text.ts";
import { EXTRACT_DTYPES, type ExtractOptions } from "../../rescale/extract/options.ts";
import type { ExtractReport } from "../../rescale/extract/report.ts";
import type { Fact } from "../facts.ts";
import { formatFacts, writtenFact } from "../facts.ts";
import { formatCount, formatErrors, formatRange, formatTable } from "../format.ts";
import type { Io } from "../io.ts";
import { groupModules } from "../module-groups.ts";
import { addOutputOptions, deviceOption, type OutputFlags, parseCount, parseShare, workersOption } from "../options.ts";
import { printReport, printWarnings } from "../output.ts";
import { createProgressBar } from "../progress-bar.ts";

const EXAMPLES = `
Examples:
  $ lora-tool extract ./llama ./llama-tuned --rank 64 -o ./adapter
  $ lora-tool extract ./llama ./llama-tuned --energy 0.95 --rank 256 -o ./adapter
  $ lora-tool extract ./llama ./llama-tuned --rank 16 --exact --dtype bf16 -o ./adapter
  $ lora-tool extract ./llama ./llama-tuned --rank 64 -o ./adapter --dry-run
`;

interface ExtractFlags extends OutputFlags {
  readonly rank?: number;
  readonly energy?: number;
  readonly exact?: true;
  readonly dtype: NonNullable<ExtractOptions["dtype"]>;
  readonly workers?: number;
  readonly device: NonNullable<ExtractOptions["device"]>;
}

export function addExtractCommand(program: Command, io: Io): void {
  const command = program
    .command("extract")
    .summary("the difference of two models → an adapter")
    .description(
      "Writes a PEFT folder: factors for the weights of layers that changed, and whole tensors for norms, biases and " +
        "resized embeddings.",
    )
    .argument("<base>", "HF folder, .safetensors file or model.safetensors.index.json")
    .argument("<tuned>", "the same model after training");
  addOutputOptions(command)
    .option("--rank <r>", "rank of every module; with --energy the highest", parseCount)
    .option(
      "--energy <share>",
      "share of each difference's squared norm to keep, by the smallest rank for it",
      parseShare,
    )
    .option("--exact", "decompose large weights until nothing changes any more; takes many times as long")
    .addOption(new Option("--dtype <dtype>", "dtype of the factors").choices(EXTRACT_DTYPES).default("f32"))
    .addOption(workersOption())
    .addOption(deviceOption())
    .addHelpText("after", EXAMPLES)
    .action(async (base: string, tuned: string, flags: ExtractFlags) => {
      const { extract } = await import("../../rescale/extract/extract.ts");
      const bar = createProgressBar(io, flags);
      const { json, quiet, ...options } = flags;
      const { signal } = io;
      const report = await extract({ ...options, base, tuned, signal, onProgress: bar.onProgress }).finally(bar.clear);
      printWarnings(io, report.warnings, flags);
      printReport(io, report, flags, () => describeExtraction(io, report));
    });
}

/** The report in words. */
function describeExtraction(io: Io, report: ExtractReport): string {
  const { modules, overrides, unchanged, result } = report;
  const table = groupModules(modules, () => []).map(({ count, name, rows }) => [
    String(count),
    formatRange(rows.map((row) => row.rank)),
    formatErrors(rows.map((row) => row.error)),
    name,
  ]);
  const facts: Fact[] = [
    ["models", `${escapeText(report.tuned)} − ${escapeText(report.base)}`],
    ["same", `${formatCount(unchanged)} tensors`],
  ];
  if (overrides.length > 0) facts.push(["whole", summarise(overrides.map(({ name }) => escapeText(name)))]);
  facts.push(["error", `${formatErrors([report.error])} of the differences' norm in factors`]);
  if (result !== undefined) facts.push(writtenFact(report.out, result));
  const head = ["modules", "rank", "error", "name"];
  return `${formatTable([head, ...table])}\n${formatFacts(io, facts)}`;
}
