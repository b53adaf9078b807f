/**
 * `lora-tool verify`: is this model base + Σ scaled delta?
 */

import type { Command } from "commander";
import { MismatchError, UsageError } from "../../core/errors.ts";
import type { DeviceName } from "../../engine/device.ts";
import type { VerifyOptions, VerifyReport } from "../../merge/verify.ts";
import { formatFacts } from "../facts.ts";
import type { Io } from "../io.ts";
import { adapterFacts, describeVerification, planTable } from "../merge-words.ts";
import { addMethodOptions, type MethodFlags } from "../method-options.ts";
import {
  addReadingOptions,
  type CommonFlags,
  deviceOption,
  expertOrderOption,
  mapOption,
  parseCount,
  parseWeightedAdapter,
  workersOption,
} from "../options.ts";
import { printReport, printWarnings } from "../output.ts";
import { createProgressBar } from "../progress-bar.ts";

const EXAMPLES = `
Examples:
  $ lora-tool verify ./llama ./adapter ./merged
  $ lora-tool verify ./llama ./style=0.7 ./facts=0.3 ./merged --json
`;

interface VerifyFlags extends CommonFlags, MethodFlags {
  readonly workers?: number;
  readonly rank?: number;
  readonly allowUnused?: true;
  readonly expertOrder?: NonNullable<VerifyOptions["expertOrder"]>;
  readonly map?: NonNullable<VerifyOptions["map"]>;
  readonly fold?: true;
  readonly device: DeviceName;
}

export function addVerifyCommand(program: Command, io: Io): void {
  const command = program
    .command("verify")
    .summary("check that a merged model is base + Σ scaled delta")
    .description("Recomputes merged = base + Σ weight · scale · up · down from the files, tensor by tensor.")
    .usage("[options] <base> <adapter[=weight]>... <merged>")
    .argument("<base>", "what was merged into")
    .argument("<paths...>", "the adapters, and last the model to check");
  addMethodOptions(addReadingOptions(command, "compare names, shapes and dtypes only, and print the plan"))
    .option("--rank <r>", "what svd cut to (default: the highest rank of the adapters)", parseCount)
    .addOption(workersOption())
    .option("--allow-unused", "let adapter modules that the base does not have go unused")
    .addOption(expertOrderOption())
    .addOption(mapOption())
    .option("--fold", "the LoRA branches of an ONNX graph were folded, too")
    .addOption(deviceOption())
    .addHelpText("after", EXAMPLES)
    .action(async (base: string, paths: readonly string[], flags: VerifyFlags) => {
      const merged = paths.at(-1);
      if (merged === undefined || (paths.length < 2 && flags.fold === undefined))
        throw new UsageError("expected <base> <adapter>... <merged>");
      const { describeFailures, verify } = await import("../../merge/verify.ts");
      const { json, quiet, ...options } = flags;
      const bar = createProgressBar(io, flags);
      const adapters = paths.slice(0, -1).map(parseWeightedAdapter);
      const { signal } = io;
      const { onProgress } = bar;
      const report = await verify({ ...options, base, adapters, merged, signal, onProgress }).finally(bar.clear);
      printWarnings(io, report.warnings, flags);
      printReport(io, report, flags, () => describe(io, report));
      if (report.passed) return;
      throw new MismatchError("VERIFICATION_FAILED", "not base + Σ scaled delta", describeFailures(report), {
        file: merged,
      });
    });
}

/** The report in words. */
function describe(io: Io, { plan, ...report }: VerifyReport): string {
  const facts = adapterFacts(report.adapters);
  if (plan === undefined) return formatFacts(io, [...facts, ["verified", describeVerification(report)]]);
  const fit = report.passed ? "names, shapes and dtypes are as expected; nothing was recomputed" : "no";
  return `${planTable(plan)}\n${formatFacts(io, [...facts, ["fits", fit]])}`;
}
