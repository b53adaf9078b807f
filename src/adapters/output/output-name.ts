/**
 * Whether the name of an output says what it will be.
 */

import { UsageError } from "../../core/errors.ts";
import { type FormatName, formatOf } from "../../formats/registry.ts";

/**
 * @param format of the file to be; `undefined` for a folder
 * @param what is written, for the message
 * @throws {UsageError} when the name announces another format, or a file where a folder is written
 */
export function assertOutputName(out: string, format: FormatName | undefined, what: string): void {
  const announced = formatOf(out);
  if (announced === undefined || announced === format) return;
  const expected = format === undefined ? "a folder" : `a file of the format ${format}`;
  throw new UsageError(`expected ${expected} for ${what}, got a name of ${announced}`, { subject: out });
}
