/**
 * What a caller may ask of `convert`.
 */

import { UsageError } from "../core/errors.ts";
import type { RunOptions } from "../core/progress.ts";
import { formatOf } from "../formats/registry.ts";

/** Layouts of adapters. */
export const CONVERT_TARGETS = ["peft"] as const;
export type ConvertTarget = (typeof CONVERT_TARGETS)[number];

export interface ConvertOptions extends RunOptions {
  /** An adapter of any layout: a folder or a file. */
  readonly input: string;
  readonly to: ConvertTarget;
  /** The model that the adapter is for: a folder or a file, for names and orders that the adapter does not tell. */
  readonly base?: string | undefined;
  /** The folder or file to write. */
  readonly out: string;
  readonly overwrite?: boolean | undefined;
  /** Plan only. */
  readonly dryRun?: boolean | undefined;
}

/** @throws {UsageError} when the name of the output announces another format than the target's, or a file for a folder */
export function assertOutputName({ out, to }: ConvertOptions, format: ReturnType<typeof formatOf>): void {
  const announced = formatOf(out);
  if (announced === undefined || announced === format) return;
  const expected = format === undefined ? "a folder" : `a file of the format ${format}`;
  throw new UsageError(`expected ${expected} for ${to}, got a name of ${announced}`, { subject: out });
}
