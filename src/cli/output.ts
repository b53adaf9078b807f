/**
 * The two ways a result leaves: words, or one JSON object.
 */

import { type Io, paint } from "./io.ts";
import type { CommonFlags } from "./options.ts";

/** Characters that `JSON.stringify` leaves as they are and that could steer a terminal. */
const UNPRINTABLE = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** JSON whose strings hold printable characters only; any JSON parser reads the same values from it. */
export function toJson(value: unknown, indent?: number): string {
  const toEscape = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return `${JSON.stringify(value, undefined, indent).replace(UNPRINTABLE, toEscape)}\n`;
}

/** Prints the report on stdout; `describe` is asked for words only when they are wanted. */
export function printReport(io: Io, report: unknown, options: CommonFlags, describe: () => string): void {
  io.stdout.write(options.json ? toJson(report, 2) : describe());
}

/** Warnings are diagnostics: stderr, one line each, not under `--quiet`; a JSON report carries them itself. */
export function printWarnings(io: Io, warnings: readonly string[], options: CommonFlags): void {
  if (options.json || options.quiet) return;
  for (const warning of warnings) io.stderr.write(`${paint(io.stderr, "yellow", "warning:")} ${warning}\n`);
}
