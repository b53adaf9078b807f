/**
 * `lora-tool sweep`: flags → options of the library → its report in words.
 */

import { type Command, InvalidArgumentError } from "commander";
import { CONVENTIONS, type Convention } from "../../adapters/adapter.ts";
import { escapeText } from "../../core/text.ts";
import type { SweepOptions } from "../../train/sweep/options.ts";
import type { SweepReport } from "../../train/sweep/sweep.ts";
import type { Fact } from "../facts.ts";
import { formatFacts } from "../facts.ts";
import { formatCount, formatSeconds, formatTable } from "../format.ts";
import { type Io, paint } from "../io.ts";
import { addOutputOptions, type OutputFlags, parseAlpha, parseCount, parsePart, parseSeed } from "../options.ts";
import { printReport, printWarnings } from "../output.ts";
import { createProgressBar } from "../progress-bar.ts";
import { addAdapterOptions, addTrainingOptions, type TrainingFlags } from "../train-options.ts";

const EXAMPLES = `
Examples:
  $ lora-tool sweep --base ./llama --data rows.jsonl --ranks 4,32,256 --scalings lora,rslora --steps 300 -o ./sweep
  $ lora-tool sweep --base ./llama --data rows.jsonl --ranks 8,64 --lrs 1e-4,1e-3 --seeds 1,2,3 --jobs 2 -o ./sweep
  $ lora-tool sweep --base ./llama --data rows.jsonl --ranks 4,16,64,256 --steps 1 -o ./law
  $ lora-tool sweep … --part 3/8 -o ./sweep && lora-tool sweep … --finish -o ./sweep
`;

type SweepFlags = OutputFlags &
  Omit<TrainingFlags, "rank" | "scaling" | "lr" | "seed" | "initAdapter" | "resume"> &
  Pick<SweepOptions, "ranks" | "scalings" | "lrs" | "seeds" | "jobs" | "part" | "finish">;

export function addSweepCommand(program: Command, io: Io): void {
  const command = program
    .command("sweep")
    .summary("train over ranks × scalings × learning rates × seeds, and compare")
    .description("Trains an adapter for each rank, scaling, learning rate and seed, and writes one report of them all.")
    .requiredOption("--ranks <list>", "ranks, with commas", listOf(parseCount))
    .option("--scalings <list>", `${CONVENTIONS.join(" and ")} (default: both)`, listOf(parseConvention))
    .option("--lr, --lrs <list>", "learning rates, with commas (default: 0.0002)", listOf(parseAlpha))
    .option(
      "--seed, --seeds <list>",
      "seeds, with commas; several show what chance makes (default: 42)",
      listOf(parseSeed),
    )
    .option("--alpha <x>", "alpha of all adapters (default: 16)", parseAlpha)
    .option("--jobs <n>", "runs at a time, each in a process of its own (default: 1)", parseCount)
    .option("--part <i/n>", "train only the i-th of n parts, to be joined by --finish", parsePart)
    .option("--finish", "write the report of the cells that parts have trained");
  addAdapterOptions(command);
  addTrainingOptions(command).option("--save-every <n>", "steps between checkpoints of a run", parseCount);
  addOutputOptions(command, "start over: the cells and reports of an earlier sweep go when this one starts")
    .addHelpText("after", EXAMPLES)
    .action(async (flags: SweepFlags) => {
      const { sweep } = await import("../../train/sweep/sweep.ts");
      const bar = createProgressBar(io, flags);
      const { json, quiet, ...options } = flags;
      const report = await sweep({ ...options, signal: io.signal, onProgress: bar.onProgress }).finally(bar.clear);
      printWarnings(io, report.warnings, flags);
      printReport(io, report, flags, () => describeSweep(io, report));
    });
}

function listOf<Value>(parse: (text: string) => Value): (text: string) => Value[] {
  return (text) => text.split(",").map((item) => parse(item.trim()));
}

function parseConvention(text: string): Convention {
  const convention = CONVENTIONS.find((name) => name === text);
  if (convention === undefined) throw new InvalidArgumentError(`expected ${CONVENTIONS.join(" or ")}`);
  return convention;
}

/** The report in words. */
function describeSweep(io: Io, { out, planned, stepsPerCell, trained, seconds, claims }: SweepReport): string {
  const facts: Fact[] = [["cells", `${formatCount(planned.length)}, ${formatCount(stepsPerCell)} steps each`]];
  if (trained === undefined || seconds === undefined) {
    const rows = planned.map(({ rank, scaling, lr, seed }) => [String(rank), scaling, String(lr), String(seed)]);
    return formatTable([["rank", "scaling", "lr", "seed"], ...rows]) + formatFacts(io, facts);
  }
  const before = planned.length - trained;
  const rest = before === 0 ? "" : `, ${formatCount(before)} were complete`;
  facts.push(["trained", `${formatCount(trained)} in ${formatSeconds(seconds)}${rest}`]);
  if (claims === undefined) return formatFacts(io, [...facts, ["next", "--finish, when all parts are done"]]);
  facts.push(["wrote", `${escapeText(out)}/report.html and report.json`]);
  const findings = claims.map(
    ({ verdict, claim, evidence }) => `${paint(io.stdout, "bold", verdict)}: ${claim}\n  ${evidence}\n`,
  );
  return `${formatFacts(io, facts)}\n${findings.join("")}`;
}
