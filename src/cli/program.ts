/**
 * The command line: the tree of commands, signals, and errors to exit codes. Library code never prints or exits.
 */

import { Command, CommanderError } from "commander";
import { toFileError, UsageError } from "../core/errors.ts";
import { escapeLines } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { addCombineCommand } from "./commands/combine.ts";
import { addConvertCommand } from "./commands/convert.ts";
import { addExtractCommand } from "./commands/extract.ts";
import { addInspectCommand } from "./commands/inspect.ts";
import { addMergeCommand } from "./commands/merge.ts";
import { addRescaleCommand } from "./commands/rescale.ts";
import { addResizeCommand } from "./commands/resize.ts";
import { addSweepCommand } from "./commands/sweep.ts";
import { addTrainCommand } from "./commands/train.ts";
import { addVerifyCommand } from "./commands/verify.ts";
import { EXIT, reportFailure } from "./failure.ts";
import type { Io } from "./io.ts";
import { checkRequiredFlagsLast } from "./required-flags.ts";

/** Runs one command line on this process' streams and returns its exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const interrupt = new AbortController();
  // The first signal lets the command clean up; a second one does not wait.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (interrupt.signal.aborted) dieAtOnce();
      interrupt.abort();
    });
  }
  const { stdout, stderr } = process;
  const io: Io = { stdout, stderr, interactive: stderr.isTTY === true, signal: interrupt.signal };
  const fail = (error: unknown): never => process.exit(reportFailure(error, io, wantsJson(argv)));
  process.on("uncaughtException", fail);
  // A reader that closed its end (`| head`) has seen enough; that is no failure.
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(EXIT.done);
    fail(toFileError(error, "standard output"));
  });
  // Nobody is left to tell, and the exit code says it all.
  stderr.on("error", () => {});
  return run(argv, io);
}

/** As if the signal had not been caught: `process.exit` would end threads inside the engine, which aborts. */
function dieAtOnce(): void {
  process.removeAllListeners("SIGINT");
  process.kill(process.pid, "SIGINT");
}

/** Runs one command line on the given streams. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const json = wantsJson(argv);
  try {
    await createProgram(io, json).parseAsync(argv, { from: "user" });
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof CommanderError)) return reportFailure(error, io, json);
    // Help and version leave with 0. Under --json commander has printed nothing.
    if (error.exitCode === 0) return EXIT.done;
    return json ? reportFailure(new UsageError(escapeLines(plainMessage(error))), io, json) : EXIT.usage;
  }
}

function wantsJson(argv: readonly string[]): boolean {
  return argv.includes("--json");
}

/** commander's message without the `error: ` that it starts with. */
function plainMessage({ message, code }: CommanderError): string {
  return code === "commander.help" ? "expected a command" : message.replace(/^error: /, "");
}

function createProgram(io: Io, json: boolean): Command {
  const program = new Command("lora-tool")
    .description("LoRA and rsLoRA adapters: trained, merged, rescaled and converted exactly, in little memory.")
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError("(lora-tool --help shows what there is)")
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void (json || io.stderr.write(escapeLines(text))),
    });
  addMergeCommand(program, io);
  addRescaleCommand(program, io);
  addResizeCommand(program, io);
  addCombineCommand(program, io);
  addExtractCommand(program, io);
  addConvertCommand(program, io);
  addVerifyCommand(program, io);
  addTrainCommand(program, io);
  addSweepCommand(program, io);
  addInspectCommand(program, io);
  for (const command of program.commands) {
    checkRequiredFlagsLast(command);
    command.showHelpAfterError(`(lora-tool ${command.name()} --help shows all flags)`);
  }
  return program;
}
