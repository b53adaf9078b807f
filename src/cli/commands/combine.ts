/**
 * `lora-tool combine`: flags → options of the library → its report in words.
 */

import type { Command } from "commander";
import type { DeviceName } from "../../engine/device.ts";
import type { CombineOptions } from "../../merge/combine/adapter/options.ts";
import type { CombineReport } from "../../merge/combine/adapter/report.ts";
import type { Fact } from "../facts.ts";
import { formatFacts, writtenFact } from "../facts.ts";
import { formatErrors, formatRange, formatTable } from "../format.ts";
import type { Io } from "../io.ts";
import { adapterFacts } from "../merge-words.ts";
import { addMethodOptions, type MethodFlags, methodHelp } from "../method-options.ts";
import { groupModules } from "../module-groups.ts";
import {
  addOutputOptions,
  deviceOption,
  expertOrderOption,
  factorDtypeOption,
  type OutputFlags,
  parseCount,
  parseWeightedAdapter,
  workersOption,
} from "../options.ts";
import { printReport, printWarnings } from "../output.ts";
import { createProgressBar } from "../progress-bar.ts";

const EXAMPLES = `
Examples:
  $ lora-tool combine ./style=0.7 ./facts=0.3 -o ./both
  $ lora-tool combine ./style ./facts --method svd --rank 32 -o ./both
  $ lora-tool combine ./style ./facts ./tone --method ties --density 0.2 -o ./all
  $ lora-tool combine ./style=0.5 ./facts=0.5 --method linear --factor-wise -o ./as-peft
`;

interface CombineFlags extends OutputFlags, MethodFlags {
  readonly rank?: number;
  readonly factorWise?: true;
  readonly dtype: NonNullable<CombineOptions["dtype"]>;
  readonly workers?: number;
  readonly device: DeviceName;
  readonly expertOrder?: NonNullable<CombineOptions["expertOrder"]>;
}

export function addCombineCommand(program: Command, io: Io): void {
  const command = program
    .command("combine")
    .summary("several adapters → one adapter")
    .description("Writes a PEFT folder whose deltas are those of several adapters, combined.")
    .argument("<adapter[=weight]...>", "adapters of one base; the delta of each times its weight");
  addMethodOptions(addOutputOptions(command))
    .option(
      "--rank <r>",
      "rank of the result (default: the sum of the ranks, for svd the highest); sums are cut to it",
      parseCount,
    )
    .option("--factor-wise", "combine lora_A and lora_B each, as PEFT's add_weighted_adapter does, cross terms and all")
    .addOption(factorDtypeOption())
    .addOption(workersOption())
    .addOption(expertOrderOption())
    .addOption(deviceOption())
    .addHelpText("after", `${methodHelp()}${EXAMPLES}`)
    .action(async (adapters: readonly string[], flags: CombineFlags) => {
      const { combine } = await import("../../merge/combine/adapter/combine.ts");
      const bar = createProgressBar(io, flags);
      const { json, quiet, ...options } = flags;
      const { signal } = io;
      const { onProgress } = bar;
      const given = adapters.map(parseWeightedAdapter);
      const report = await combine({ ...options, adapters: given, signal, onProgress }).finally(bar.clear);
      printWarnings(io, report.warnings, flags);
      printReport(io, report, flags, () => describeCombination(io, report));
    });
}

/** The report in words. */
function describeCombination(io: Io, report: CombineReport): string {
  const { modules, result, method, factorWise } = report;
  const groups = groupModules(modules, ({ adapters }) => [String(adapters)]);
  const table = groups.map(({ count, cells: [adapters = ""], name, rows }) => [
    String(count),
    adapters,
    formatRange(rows.map((row) => row.rank)),
    formatRange(rows.map((row) => row.alpha)),
    formatRange(rows.map((row) => row.scale)),
    factorWise ? "—" : formatErrors(rows.map((row) => row.error ?? 0)),
    name,
  ]);
  const facts: Fact[] = [...adapterFacts(report.adapters), ["method", `${method}${factorWise ? ", factor-wise" : ""}`]];
  if (result !== undefined) facts.push(writtenFact(report.out, result));
  const head = ["modules", "adapters", "rank", "alpha", "scale", "error", "name"];
  return `${formatTable([head, ...table])}\n${formatFacts(io, facts)}`;
}
