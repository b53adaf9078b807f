/**
 * `lora-tool merge`: flags → options of the library → its report in words.
 */

import { type Command, Option } from "commander";
import type { Part } from "../../core/part.ts";
import { escapeText } from "../../core/text.ts";
import type { MergeOptions } from "../../merge/merge.ts";
import { OUTPUT_DTYPES } from "../../merge/plan.ts";
import type { MergeReport } from "../../merge/report.ts";
import { formatFacts, writtenFact } from "../facts.ts";
import { formatCount, formatShare } from "../format.ts";
import type { Io } from "../io.ts";
import { adapterFacts, describeVerification, planTable } from "../merge-words.ts";
import { addMethodOptions, type MethodFlags, methodHelp } from "../method-options.ts";
import {
  addOutputOptions,
  deviceOption,
  engineOption,
  expertOrderOption,
  mapOption,
  type OutputFlags,
  parseCount,
  parsePart,
  parseSize,
  parseWeightedAdapter,
  workersOption,
} from "../options.ts";
import { printReport, printWarnings } from "../output.ts";
import { createProgressBar } from "../progress-bar.ts";

const EXAMPLES = `
Examples:
  $ lora-tool merge ./llama ./adapter -o ./merged
  $ lora-tool merge ./llama ./style=0.7 ./facts=0.3 --dtype bf16 --max-shard-size 5GB -o ./merged
  $ lora-tool merge ./llama ./style=0.7 ./facts=0.3 --method ties --density 0.2 -o ./merged
  $ lora-tool merge ./llama ./adapter -o ./merged --dry-run
  $ lora-tool merge ./llama ./adapter -o ./merged --verify --json
  $ lora-tool merge model.onnx ./adapter -o merged.onnx
  $ lora-tool merge with-branches.onnx --fold -o folded.onnx
`;

interface MergeFlags extends OutputFlags, MethodFlags {
  readonly rank?: number;
  readonly dtype: NonNullable<MergeOptions["dtype"]>;
  readonly maxShardSize?: number;
  readonly workers?: number;
  readonly part?: Part;
  readonly finish?: true;
  readonly verify?: true;
  readonly allowUnused?: true;
  readonly allowUnchanged?: true;
  readonly expertOrder?: NonNullable<MergeOptions["expertOrder"]>;
  readonly map?: NonNullable<MergeOptions["map"]>;
  readonly fold?: true;
  readonly device: NonNullable<MergeOptions["device"]>;
  readonly engine: NonNullable<MergeOptions["engine"]>;
}

export function addMergeCommand(program: Command, io: Io): void {
  const command = program
    .command("merge")
    .summary("base + adapters → inference-ready weights")
    .description("Adds adapters to a base: W' = W + Σ weight · scale · up · down, each result rounded once.")
    .argument("<base>", "HF folder, .safetensors file, model.safetensors.index.json or .onnx graph")
    .argument("[adapter[=weight]...]", "adapter of any layout; its delta times the weight");
  addMethodOptions(addOutputOptions(command))
    .option("--rank <r>", "what svd cuts to (default: the highest rank of the adapters)", parseCount)
    .addOption(new Option("--dtype <dtype>", "dtype of the float tensors").choices(OUTPUT_DTYPES).default("keep"))
    .option("--max-shard-size <size>", "deal the tensors into files of this size, e.g. 5GB", parseSize)
    .addOption(workersOption())
    .option("--part <i/n>", "make only the i-th of n parts, to be joined by --finish", parsePart)
    .option("--finish", "join the parts that --part made")
    .option("--verify", "recompute the output from the files and fail on a difference")
    .option("--allow-unused", "let adapter modules that the base does not have go unused")
    .option("--allow-unchanged", "let a merge that changes nothing pass")
    .addOption(expertOrderOption())
    .addOption(mapOption())
    .option("--fold", "fold the LoRA branches that an ONNX graph carries; adapters are optional then")
    .addOption(deviceOption())
    .addOption(engineOption())
    .addHelpText("after", `${methodHelp()}${EXAMPLES}`)
    .action(async (base: string, adapters: readonly string[], flags: MergeFlags) => {
      const { merge } = await import("../../merge/merge.ts");
      const bar = createProgressBar(io, flags);
      const { json, quiet, ...options } = flags;
      const report = await merge({
        ...options,
        base,
        adapters: adapters.map(parseWeightedAdapter),
        signal: io.signal,
        onProgress: bar.onProgress,
      }).finally(bar.clear);
      printWarnings(io, report.warnings, flags);
      printReport(io, report, flags, () => describeMerge(io, report));
    });
}

/** The report in words. */
function describeMerge(io: Io, report: MergeReport): string {
  const facts = adapterFacts(report.adapters);
  const counts = Object.entries(report.tensors).filter(([, count]) => count > 0);
  facts.push(["tensors", counts.map(([action, count]) => `${formatCount(count)} ${action}`).join(", ")]);
  if (report.untied) facts.push(["tie", "embedding and output head part: tie_word_embeddings becomes false"]);
  if (report.plan !== undefined) {
    return `${planTable(report.plan)}\n${formatFacts(io, facts)}`;
  }
  const { result } = report;
  if (result !== undefined) {
    facts.push([
      "changed",
      `${formatCount(result.changed)} of ${formatCount(result.elements)} elements in merged tensors`,
    ]);
    facts.push(["lost", `${formatShare(result.lost, result.lost + result.changed)} of the deltas in the rounding`]);
    facts.push(writtenFact(report.out, result));
    for (const file of result.files) facts.push(["sha256", `${file.sha256}  ${escapeText(file.name)}`]);
  }
  if (report.verification !== undefined) facts.push(["verified", describeVerification(report.verification)]);
  return formatFacts(io, facts);
}
