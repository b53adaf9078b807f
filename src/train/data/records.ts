/**
 * A data file → its rows as JSON values, one at a time and each with its line, whatever the size of the file: lines of
 * `.jsonl`, items of a `.json` array.
 *
 * A byte order mark in front and lines that end in CR LF are let pass; lines of white space are skipped.
 */

import { type FormatCode, FormatError } from "../../core/errors.ts";
import type { JsonValue } from "../../core/json.ts";
import { parseJson } from "../../core/json-parser.ts";
import { MAX_ROW_BYTES } from "../../core/limits.ts";
import { escapeText } from "../../core/text.ts";
import { cutItems } from "./cut-items.ts";
import { cutLines } from "./cut-lines.ts";

/** Where a row stands. */
export interface Place {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export interface JsonRecord {
  readonly value: JsonValue;
  readonly line: number;
}

/** The bytes of one row and the line where they begin. */
export interface Cut {
  readonly bytes: Uint8Array;
  readonly line: number;
}

/**
 * @param chunks the file's bytes in order
 * @throws {FormatError} INVALID_JSON, DUPLICATE_KEY, INVALID_UTF8 or INVALID_ROW, naming the line
 */
export function* readRecords(
  chunks: Iterable<Uint8Array>,
  file: string,
  form: "lines" | "array",
): Generator<JsonRecord> {
  const cuts = form === "lines" ? cutLines(chunks, file) : cutItems(chunks, file);
  for (const { bytes, line } of cuts) {
    yield { value: atLine({ file, line }, () => parseJson(bytes, { file })), line };
  }
}

/** Runs `act`, and puts the line into what it refuses. */
export function atLine<Result>({ file, line }: Place, act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const { message, hint, cause } = error;
    const details = { ...(hint !== undefined && { hint }), cause };
    // An error in another file, the tokenizer's or the template's, keeps its file and says which row met it.
    if (error.file !== undefined && error.file !== file) {
      throw new FormatError(error.code as FormatCode, `${message}, at line ${line} of ${escapeText(file)}`, details);
    }
    const problem = error.file === undefined ? message : message.slice(`${escapeText(file)}: `.length);
    throw new FormatError(error.code as FormatCode, `line ${line}: ${problem}`, { ...details, file });
  }
}

/** @throws {FormatError} INVALID_ROW when a row that begins at `line` has grown too long */
export function checkRowSize(bytes: number, { file, line }: Place): void {
  if (bytes <= MAX_ROW_BYTES) return;
  const problem = `line ${line}: the row takes more than ${MAX_ROW_BYTES} bytes`;
  throw new FormatError("INVALID_ROW", problem, { file, hint: "cut it into several rows" });
}
