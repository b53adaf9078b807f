/**
 * Errors as users see them, and the exit code of each.
 */

import { InterruptedError, LoraToolError, UsageError } from "../core/errors.ts";
import { type Io, paint } from "./io.ts";

export const EXIT = { done: 0, cannotProcess: 1, usage: 2, bug: 70, interrupted: 130 } as const;

/** Prints the error to stderr, as one JSON object under `--json`, and returns the exit code. */
export function reportFailure(error: unknown, io: Io, json: boolean): number {
  if (!(error instanceof LoraToolError)) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (json) io.stderr.write(`${JSON.stringify({ code: "BUG", message: stack })}\n`);
    else io.stderr.write(`${paint(io.stderr, "red", "bug in lora-tool:")} ${stack}\nplease report it with the command that you ran\n`);
    return EXIT.bug;
  }
  const { code, message, hint, file, subject } = error;
  if (json) io.stderr.write(`${JSON.stringify({ code, message, hint, file, subject })}\n`);
  else {
    io.stderr.write(`${paint(io.stderr, "red", "error:")} ${message}\n`);
    if (hint !== undefined) io.stderr.write(`${paint(io.stderr, "cyan", "hint:")} ${hint}\n`);
  }
  if (error instanceof InterruptedError) return EXIT.interrupted;
  return error instanceof UsageError ? EXIT.usage : EXIT.cannotProcess;
}
