/**
 * `lora-tool resize`: flags → options of the library → its report in words.
 */

import type { Command } from "commander";
import { escapeText } from "../../core/text.ts";
import type { DeviceName } from "../../engine/device.ts";
import type { ResizeOptions } from "../../rescale/resize/options.ts";
import type { ResizeReport } from "../../rescale/resize/report.ts";
import type { Fact } from "../facts.ts";
import { formatFacts, writtenFact } from "../facts.ts";
import { formatErrors, formatRange, formatTable } from "../format.ts";
import type { Io } from "../io.ts";
import { groupModules } from "../module-groups.ts";
import {
  addOutputOptions,
  deviceOption,
  expertOrderOption,
  factorDtypeOption,
  type OutputFlags,
  parseCount,
  parseShare,
  workersOption,
} from "../options.ts";
import { printReport, printWarnings } from "../output.ts";
import { createProgressBar } from "../progress-bar.ts";

const EXAMPLES = `
Examples:
  $ lora-tool resize ./adapter --rank 16 -o ./small
  $ lora-tool resize ./adapter --energy 0.99 -o ./lean
  $ lora-tool resize ./adapter --energy 0.99 --rank 64 -o ./lean-at-most-64
  $ lora-tool resize ./adapter --rank 8 -o ./small --dry-run
`;

interface ResizeFlags extends OutputFlags {
  readonly rank?: number;
  readonly energy?: number;
  readonly dtype: NonNullable<ResizeOptions["dtype"]>;
  readonly workers?: number;
  readonly device: DeviceName;
  readonly expertOrder?: NonNullable<ResizeOptions["expertOrder"]>;
}

export function addResizeCommand(program: Command, io: Io): void {
  const command = program
    .command("resize")
    .summary("same adapter, lower rank: the best approximation of each delta")
    .description(
      "Writes the adapter with the best approximations of its deltas by a lower rank, by singular value decomposition. " +
        "Layout, convention and scales stay; alpha follows from them.",
    )
    .argument("<adapter>", "adapter of any layout whose deltas are products of two factors");
  addOutputOptions(command)
    .option("--rank <r>", "rank of every module; with --energy the highest", parseCount)
    .option("--energy <share>", "share of each delta's squared norm to keep, by the smallest rank for it", parseShare)
    .addOption(factorDtypeOption())
    .addOption(workersOption())
    .addOption(expertOrderOption())
    .addOption(deviceOption())
    .addHelpText("after", EXAMPLES)
    .action(async (adapter: string, flags: ResizeFlags) => {
      const { resize } = await import("../../rescale/resize/resize.ts");
      const bar = createProgressBar(io, flags);
      const { json, quiet, ...options } = flags;
      const { signal } = io;
      const report = await resize({ ...options, adapter, signal, onProgress: bar.onProgress }).finally(bar.clear);
      printWarnings(io, report.warnings, flags);
      printReport(io, report, flags, () => describeResize(io, report));
    });
}

/** The report in words. */
function describeResize(io: Io, report: ResizeReport): string {
  const { modules, result } = report;
  const table = groupModules(modules, () => []).map(({ count, name, rows }) => [
    String(count),
    `${formatRange(rows.map((row) => row.rankBefore))} → ${formatRange(rows.map((row) => row.rank))}`,
    formatRange(rows.map((row) => row.alpha)),
    formatRange(rows.map((row) => row.scale)),
    formatErrors(rows.map((row) => row.error)),
    name,
  ]);
  const facts: Fact[] = [
    ["adapter", `${escapeText(report.adapter)}: ${escapeText(report.method)}`],
    ["error", `${formatErrors([report.error])} of the deltas' norm`],
    ...report.notes.map((note): Fact => ["note", note]),
  ];
  if (result !== undefined) facts.push(writtenFact(report.out, result));
  const head = ["modules", "rank", "alpha", "scale", "error", "name"];
  return `${formatTable([head, ...table])}\n${formatFacts(io, facts)}`;
}
