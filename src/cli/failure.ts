/**
 * Errors as users see them, and the exit code of each.
 */

import { InterruptedError, LoraToolError, MemoryError, toFileError, UsageError } from "../core/errors.ts";
import { escapeLines } from "../core/text.ts";
import { type Io, paint } from "./io.ts";
import { toJson } from "./output.ts";

export const EXIT = { done: 0, cannotProcess: 1, usage: 2, bug: 70, interrupted: 130 } as const;

/** Prints the error to stderr, as one JSON object under `--json`, and returns the exit code. */
export function reportFailure(thrown: unknown, io: Io, json: boolean): number {
  const error = fromSystem(thrown);
  if (!(error instanceof LoraToolError)) return reportBug(error, io, json);
  const { code, message, hint, file, subject } = error;
  if (json) io.stderr.write(toJson({ code, message, hint, file, subject }));
  else {
    io.stderr.write(`${paint(io.stderr, "red", "error:")} ${message}\n`);
    if (hint !== undefined) io.stderr.write(`${paint(io.stderr, "cyan", "hint:")} ${hint}\n`);
  }
  if (error instanceof InterruptedError) return EXIT.interrupted;
  return error instanceof UsageError ? EXIT.usage : EXIT.cannotProcess;
}

function reportBug(error: unknown, io: Io, json: boolean): number {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (json) io.stderr.write(toJson({ code: "BUG", message: stack }));
  else {
    io.stderr.write(`${paint(io.stderr, "red", "bug in lora-tool:")} ${escapeLines(stack)}\n`);
    io.stderr.write("please report it with the command that you ran\n");
  }
  return EXIT.bug;
}

/** What the system may run out of at any place, even while a module is loaded. */
const EXHAUSTED: ReadonlySet<string | undefined> = new Set(["EMFILE", "ENFILE", "ENOSPC", "EDQUOT", "EIO"]);

/** Memory, files or space that the system does not give are no bug, wherever they were asked for. */
function fromSystem(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, path } = error as NodeJS.ErrnoException;
  if (EXHAUSTED.has(code)) return toFileError(error, path ?? "system");
  if (code !== "ENOMEM" && !(error instanceof RangeError && /allocation failed/i.test(error.message))) return error;
  return new MemoryError("the system gives no more memory", {
    cause: error,
    hint: "use fewer --workers, or give the process more memory",
  });
}
