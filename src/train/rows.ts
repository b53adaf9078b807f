/**
 * Rows that are already tokenised, `{"input_ids": […], "labels": […]?}`, one a line.
 */

import { FormatError } from "../core/errors.ts";
import { parseJsonObject } from "../core/json-parser.ts";
import { readSmallFile } from "../formats/byte-source.ts";
import type { Sequence } from "./data/batch.ts";

const MAX_BYTES = 2 ** 30;

export function readTokenRows(path: string, vocabulary: number, maxLength: number): Sequence[] {
  const { bytes } = readSmallFile(path, MAX_BYTES);
  const lines = new TextDecoder().decode(bytes).split("\n");
  return lines.flatMap((line, index) => {
    if (line.trim() === "") return [];
    const row = parseJsonObject(new TextEncoder().encode(line), { file: path });
    const ids = row.get("input_ids");
    const labels = row.get("labels") ?? ids;
    const isIds = (value: unknown): value is number[] => Array.isArray(value) && value.every(Number.isSafeInteger);
    if (!isIds(ids) || !isIds(labels) || ids.some((id) => id < 0 || id >= vocabulary)) {
      throw new FormatError("INVALID_METADATA", `line ${index + 1}: expected token ids`, { file: path });
    }
    const tokens = Int32Array.from(ids.slice(0, maxLength));
    return [{ tokens, labels: Int32Array.from(labels.slice(0, maxLength)) }];
  });
}
