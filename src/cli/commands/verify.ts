/**
 * `lora-tool verify`: is this model base + Σ scaled delta?
 */

import type { Command } from "commander";
import { MismatchError, UsageError } from "../../core/errors.ts";
import type { DeviceName } from "../../engine/device.ts";
import type { VerifyOptions, VerifyReport } from "../../merge/verify.ts";
import { formatCount } from "../format.ts";
import type { Io } from "../io.ts";
import { addMethodOptions, type MethodFlags } from "../method-options.ts";
import {
  addCommonOptions,
  type CommonFlags,
  deviceOption,
  expertOrderOption,
  mapOption,
  parseCount,
  parseWeightedAdapter,
  workersOption,
} from "../options.ts";
import { printReport } from "../output.ts";
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
  addMethodOptions(addCommonOptions(command))
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
      printReport(io, report, flags, () => `${describeVerification(report)}\n`);
      if (report.passed) return;
      throw new MismatchError("VERIFICATION_FAILED", "not base + Σ scaled delta", describeFailures(report), {
        file: merged,
      });
    });
}

/** The verdict in one line. */
export function describeVerification(report: VerifyReport): string {
  const exact =
    report.exactElements === 0
      ? ""
      : `; ${formatCount(report.exactElements)} of them in double precision, within ${report.maxExactUlp.toPrecision(3)} ulp`;
  const differ =
    report.different === 0
      ? "all equal"
      : `${formatCount(report.different)} differ, by up to ${report.maxUlp.toPrecision(3)} ulp`;
  return `${formatCount(report.elements)} elements in ${formatCount(report.tensors)} tensors recomputed, ${differ}${exact}`;
}
