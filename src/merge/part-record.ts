/**
 * `part.json` of a finished part: `{"fingerprint": …, "stats": {"<tensor>": {"elements", "changed", "lost"}, …}}`.
 */

import { FormatError } from "../core/errors.ts";
import type { JsonObject, JsonValue } from "../core/json.ts";
import { parseJsonObject } from "../core/json-parser.ts";
import { MAX_INDEX_BYTES } from "../core/limits.ts";
import { readSmallFile } from "../formats/byte-source.ts";
import type { TensorStats } from "./tensor-executor.ts";

export interface PartRecord {
  /** Of the plan and its inputs. */
  readonly fingerprint: string;
  /** Of each tensor that was not only copied. */
  readonly stats: ReadonlyMap<string, TensorStats>;
}

export function encodePartRecord({ fingerprint, stats }: PartRecord): string {
  return `${JSON.stringify({ fingerprint, stats: Object.fromEntries(stats) })}\n`;
}

/** @throws {FormatError} INVALID_JSON when the file is not such a record */
export function readPartRecord(file: string): PartRecord {
  const record = parseJsonObject(readSmallFile(file, MAX_INDEX_BYTES).bytes, { file });
  const [fingerprint, table] = [record.get("fingerprint"), record.get("stats")];
  if (typeof fingerprint !== "string" || !(table instanceof Map)) throw invalid(file);
  const stats = new Map<string, TensorStats>();
  for (const [name, value] of table as JsonObject) {
    if (!(value instanceof Map)) throw invalid(file);
    const count = (key: string) => countOf(value.get(key), file);
    stats.set(name, { elements: count("elements"), changed: count("changed"), lost: count("lost") });
  }
  return { fingerprint, stats };
}

function countOf(value: JsonValue | undefined, file: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalid(file);
}

function invalid(file: string): FormatError {
  return new FormatError("INVALID_JSON", "not the record of a part", { file, hint: "make the part again" });
}
