/**
 * The command line: the tree of commands, signals, and errors to exit codes. Library code never prints or exits.
 */

import { Command, CommanderError } from "commander";
import { VERSION } from "../core/version.ts";
import { addInspectCommand } from "./commands/inspect.ts";
import { addMergeCommand } from "./commands/merge.ts";
import { addVerifyCommand } from "./commands/verify.ts";
import { EXIT, reportFailure } from "./failure.ts";
import type { Io } from "./io.ts";

/** Runs one command line on this process' streams and returns its exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const interrupt = new AbortController();
  // The first signal lets the command clean up; a second one does not wait.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (interrupt.signal.aborted) process.exit(EXIT.interrupted);
      interrupt.abort();
    });
  }
  // A reader that closed its end (`| head`) has seen enough; that is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "EPIPE" ? EXIT.done : EXIT.cannotProcess);
  });
  const { stdout, stderr } = process;
  return run(argv, { stdout, stderr, interactive: stderr.isTTY === true, signal: interrupt.signal });
}

/** Runs one command line on the given streams. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  try {
    await createProgram(io).parseAsync(argv, { from: "user" });
    return EXIT.done;
  } catch (error) {
    // commander has printed its own message; help and version leave with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    return reportFailure(error, io, argv.includes("--json"));
  }
}

function createProgram(io: Io): Command {
  const program = new Command("lora-tool")
    .description("LoRA and rsLoRA adapters: merged, inspected and verified exactly, in little memory.")
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError("(lora-tool --help shows what there is)")
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
    });
  addMergeCommand(program, io);
  addVerifyCommand(program, io);
  addInspectCommand(program, io);
  return program;
}
