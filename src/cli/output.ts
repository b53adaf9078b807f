/**
 * The two ways a result leaves: words, or one JSON object.
 */

import type { CommonOptions } from "./options.ts";
import { type Io, paint } from "./io.ts";

/** Prints the report on stdout; `describe` is asked for words only when they are wanted. */
export function printReport(io: Io, report: unknown, options: CommonOptions, describe: () => string): void {
  io.stdout.write(options.json ? `${JSON.stringify(report, undefined, 2)}\n` : describe());
}

/** Warnings are diagnostics: stderr, one line each, not under `--quiet`; a JSON report carries them itself. */
export function printWarnings(io: Io, warnings: readonly string[], options: CommonOptions): void {
  if (options.json || options.quiet) return;
  for (const warning of warnings) io.stderr.write(`${paint(io.stderr, "yellow", "warning:")} ${warning}\n`);
}
