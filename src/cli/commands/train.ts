/**
 * `lora-tool train`: flags → options of the library → its report in words.
 */

import { join } from "node:path";
import { type Command, Option } from "commander";
import { CONVENTIONS, SCALE_FORMULAS } from "../../adapters/adapter.ts";
import { escapeText } from "../../core/text.ts";
import type { DeviceInfo } from "../../engine/device.ts";
import type { TrainOptions } from "../../train/options.ts";
import type { TrainedModuleReport, TrainReport, TrainResult } from "../../train/report.ts";
import type { Fact } from "../facts.ts";
import { formatFacts } from "../facts.ts";
import {
  formatBytes,
  formatCount,
  formatNumber,
  formatSeconds,
  formatShare,
  formatTable,
  formatTeraflops,
} from "../format.ts";
import type { Io } from "../io.ts";
import { groupModules } from "../module-groups.ts";
import { addOutputOptions, type OutputFlags, parseAlpha, parseCount, parseSeed } from "../options.ts";
import { printReport, printWarnings } from "../output.ts";
import { dataFacts, describePreviews } from "../row-preview.ts";
import { addAdapterOptions, addTrainingOptions, parseNumber, type TrainingFlags } from "../train-options.ts";
import { createTrainProgress } from "../train-progress.ts";

const EXAMPLES = `
Examples:
  $ lora-tool train --base ./llama --data rows.jsonl -o ./adapter
  $ lora-tool train --base ./llama --data rows.jsonl --rank 64 --scaling rslora --lr 1e-4 --steps 500 -o ./adapter
  $ lora-tool train --base ./llama --data rows.jsonl --save-every 100 --resume -o ./adapter
  $ lora-tool train --base ./llama --data rows.jsonl -o ./adapter --dry-run
`;

type TrainFlags = OutputFlags & TrainingFlags;

export function addTrainCommand(program: Command, io: Io): void {
  const command = program
    .command("train")
    .summary("train an adapter, written as a PEFT folder")
    .description("Trains a LoRA, rsLoRA or DoRA adapter for a base on rows of text or tokens.")
    .option("--rank <n>", "rank of the adapters (default: 8)", parseCount)
    .option("--alpha <x>", "alpha of the adapters (default: 16)", parseAlpha)
    .addOption(
      new Option("--scaling <convention>", "lora: scale = alpha / rank; rslora: alpha / √rank (default: lora)").choices(
        CONVENTIONS,
      ),
    )
    .option("--lr <x>", "learning rate (default: 0.0002)", parseNumber)
    .option("--seed <n>", "of everything drawn at random (default: 42)", parseSeed)
    .option("--init-adapter <folder>", "start from this PEFT folder: its weights, rank, alpha, patterns and targets");
  addAdapterOptions(command);
  addTrainingOptions(command)
    .option("--early-stopping <n>", "stop after n evaluations without a better loss, and keep the best", parseCount)
    .option("--best", "write the adapter of the best evaluation, not of the last step")
    .option("--save-every <n>", "steps between checkpoints", parseCount)
    .option("--keep-checkpoints <n>", "checkpoints to keep, besides the best one's", parseCount)
    .option("--resume", "go on from the newest checkpoint under --out")
    .option("--log-every <n>", "steps between lines of metrics.jsonl (default: 1)", parseCount);
  addOutputOptions(command, "start over: what an earlier run left there goes once this one can start")
    .addHelpText("after", EXAMPLES)
    .action(async (flags: TrainFlags) => {
      const { train } = await import("../../train/train.ts");
      const { json, quiet, ...options } = flags;
      const progress = createTrainProgress(io, flags);
      const { onEvent, onProgress } = progress;
      const run: TrainOptions = { ...options, signal: io.signal, onEvent, onProgress };
      const report = await train(run).finally(progress.clear);
      // Those of a run have been told as they came.
      if (report.result === undefined) printWarnings(io, report.warnings, flags);
      printReport(io, report, flags, () => describeTraining(io, report));
    });
}

/** The report in words. */
function describeTraining(io: Io, report: TrainReport): string {
  const { result } = report;
  const facts: Fact[] = [
    ["base", escapeText(report.base)],
    ...dataFacts("data", report.data),
    ...(report.evalData === undefined ? [] : dataFacts("eval on", report.evalData)),
    ["adapter", `${report.method}, scale = ${SCALE_FORMULAS[report.convention]}`],
    [
      "trained",
      `${formatCount(report.trainable)} parameters, ${formatShare(report.trainable, report.baseElements)} of the base's ${formatCount(report.baseElements)}`,
    ],
    ["steps", `${formatCount(report.totalSteps)}, ${formatCount(report.stepsPerEpoch)} an epoch`],
    ...memoryFacts(report),
    ...(result === undefined ? report.advice.facts.map((fact): Fact => ["advice", fact]) : resultFacts(report, result)),
  ];
  const parts = [describePreviews(io, report.data.previews), moduleTable(report.modules), formatFacts(io, facts)];
  return parts.filter((part) => part !== "").join("\n");
}

function memoryFacts({ memory }: TrainReport): Fact[] {
  if (memory === undefined) return [];
  const { weights, trained, step } = memory;
  const [total, ...parts] = [weights + trained + step, weights, trained, step].map(formatBytes);
  return [
    ["memory", `about ${total}: ${parts[0]} for the base, ${parts[1]} for what is trained, ${parts[2]} in a step`],
  ];
}

function resultFacts(report: TrainReport, result: TrainResult): Fact[] {
  const { evalLoss, best, tokensPerSecond } = result;
  const device: Fact = [
    "device",
    `${describeDevice(result.device)}, ${formatTeraflops(result.teraflops)} in the fastest step`,
  ];
  const facts = [device, ...lossFacts(result)];
  if (evalLoss !== undefined) {
    const perplexity = Math.exp(evalLoss).toPrecision(4);
    facts.push(["eval", `loss ${evalLoss.toFixed(4)}, perplexity ${perplexity} over all scored tokens`]);
  }
  if (best !== undefined) facts.push(["best", `loss ${best.loss.toFixed(4)} after step ${formatCount(best.step)}`]);
  const rate = tokensPerSecond === undefined ? "" : `, ${formatCount(Math.round(tokensPerSecond))} tokens/s`;
  const adapter = `the adapter after step ${formatCount(result.writtenStep)}`;
  facts.push(["wrote", `${escapeText(report.out)}, ${adapter}, in ${formatSeconds(result.seconds)}${rate}`]);
  facts.push(["report", escapeText(join(report.out, "report.html"))]);
  facts.push(["next", mergeCommand(report)]);
  return facts;
}

/** From the first step of this run to its last. */
function lossFacts({ firstLoss, loss, resumedFrom = 0, steps }: TrainResult): Fact[] {
  if (firstLoss === undefined || loss === undefined) return [];
  const first = `${firstLoss.toFixed(4)} in step ${formatCount(resumedFrom + 1)}`;
  return [["loss", steps === resumedFrom + 1 ? first : `${first}, ${loss.toFixed(4)} in step ${formatCount(steps)}`]];
}

/** What puts the adapter into its base, for a shell. */
function mergeCommand({ base, out }: TrainReport): string {
  const merged = `${out.replace(/[/\\]+$/, "")}-merged${base.endsWith(".onnx") ? ".onnx" : ""}`;
  const [from, adapter, to] = [base, out, merged].map((path) => quoteForShell(escapeText(path)));
  return `lora-tool merge ${from} ${adapter} -o ${to} --verify`;
}

function quoteForShell(text: string): string {
  return /^[\w./:@+,\\-][\w./:@+,=\\-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function describeDevice({ device, type, adapterName }: DeviceInfo): string {
  const details = [...(type === device ? [] : [type]), ...(adapterName === undefined ? [] : [escapeText(adapterName)])];
  return details.length === 0 ? device : `${device} (${details.join(", ")})`;
}

/** Modules that differ in nothing but the layer's number share a row. */
function moduleTable(modules: readonly TrainedModuleReport[]): string {
  const groups = groupModules(modules, ({ rank, alpha, scale }) => [
    String(rank),
    formatNumber(alpha),
    formatNumber(scale),
  ]);
  const rows = groups.map(({ count, cells, name, rows }) => {
    const parameters = rows.reduce((sum, row) => sum + row.parameters, 0);
    return [String(count), ...cells, formatCount(parameters), name];
  });
  return formatTable([["modules", "rank", "alpha", "scale", "parameters", "name"], ...rows]);
}
