/**
 * A data file → rows to learn from, in one pass and without ever holding the file: `.jsonl` and `.json` row by row, `.txt` in
 * pieces.
 */

import { createHash } from "node:crypto";
import { extname } from "node:path";
import { UnsupportedError } from "../../core/errors.ts";
import { readChunks, withFile } from "../../formats/byte-source.ts";
import { assertNotLookAlike } from "../../formats/detect.ts";
import type { Sequence } from "./batch.ts";
import { DataReader, type DataRequest, type ReadRows } from "./data-reader.ts";

export interface DataSummary extends ReadRows {
  readonly path: string;
  readonly sha256: string;
}

/** What is being worked on. */
export interface Work {
  readonly line: number;
  /** Bytes of the file that were read, and all of them. */
  readonly done: number;
  readonly total: number;
}

const FORMS: ReadonlyMap<string, "lines" | "array" | "text"> = new Map([
  [".jsonl", "lines"],
  [".json", "array"],
  [".txt", "text"],
]);

const CHUNK_BYTES = 65_536;

/**
 * Yields the rows that are kept and returns what is to be said of all of them.
 *
 * @param onWork hears of each row before the work on it
 * @throws {FormatError} INVALID_ROW and its like, naming file and line; NOTHING_TO_LEARN
 * @throws {MismatchError} TOKENIZER_MISMATCH when the tokenizer has more tokens than the model
 * @throws {UnsupportedError} UNSUPPORTED_FORMAT
 */
export function* prepareData(request: DataRequest, onWork: (work: Work) => void): Generator<Sequence, DataSummary> {
  const { path } = request;
  const form = FORMS.get(extname(path).toLowerCase());
  if (form === undefined) {
    throw new UnsupportedError("UNSUPPORTED_FORMAT", "expected a .jsonl, .json or .txt file", { file: path });
  }
  const digest = createHash("sha256");
  const total = withFile(path, ({ identity }) => identity.size);
  let done = 0;
  const chunks = contentOf(path, (chunk) => {
    digest.update(chunk);
    done += chunk.byteLength;
  });
  const reader = new DataReader(request, (line) => onWork({ line, done, total }));
  yield* form === "text" ? reader.readText(chunks) : reader.readRows(chunks, form);
  return { path, sha256: digest.digest("hex"), ...reader.finish() };
}

/** The bytes of the file without a byte order mark; `onBytes` gets all. */
function* contentOf(path: string, onBytes: (bytes: Uint8Array) => void): Generator<Uint8Array> {
  let isStart = true;
  for (const chunk of readChunks(path, CHUNK_BYTES)) {
    onBytes(chunk);
    yield isStart ? startOf(chunk, path) : chunk;
    isStart = false;
  }
}

function startOf(chunk: Uint8Array, path: string): Uint8Array {
  const start = Buffer.from(chunk.subarray(0, 30)).toString("latin1");
  if (start.startsWith("version https://git-lfs")) assertNotLookAlike(chunk, path);
  return start.startsWith("\u00ef\u00bb\u00bf") ? chunk.subarray(3) : chunk;
}
