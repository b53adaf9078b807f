/**
 * A data file → rows to learn from, in one pass and without ever holding the file: `.jsonl` and `.json` row by row, `.txt` in
 * pieces. Runs in a thread of its own (`worker.ts`), because patterns and templates of strangers run in it.
 */

import { createHash } from "node:crypto";
import { extname } from "node:path";
import { MismatchError, UnsupportedError } from "../../core/errors.ts";
import { type OpenFile, readFullySync, withFile } from "../../formats/byte-source.ts";
import { assertNotLookAlike } from "../../formats/detect.ts";
import { DataReader, type DataRequest, type DataSink, type ReadRows } from "./data-reader.ts";
import { type OpenedTokenizer, openTokenizer } from "./tokenizer/open-tokenizer.ts";

export interface DataSummary extends ReadRows {
  readonly path: string;
  readonly sha256: string;
}

const FORMS: ReadonlyMap<string, "lines" | "array" | "text"> = new Map([
  [".jsonl", "lines"],
  [".json", "array"],
  [".txt", "text"],
]);

const CHUNK_BYTES = 1024 * 1024;

/**
 * @throws {FormatError} INVALID_ROW and its like, naming file and line; NOTHING_TO_LEARN
 * @throws {MismatchError} TOKENIZER_MISMATCH when the tokenizer has more tokens than the model
 * @throws {UnsupportedError} UNSUPPORTED_FORMAT
 */
export function prepareData(request: DataRequest, sink: DataSink): DataSummary {
  const form = FORMS.get(extname(request.path).toLowerCase());
  if (form === undefined) {
    throw new UnsupportedError("UNSUPPORTED_FORMAT", "expected a .jsonl, .json or .txt file", { file: request.path });
  }
  const opened = request.tokenizerFolder === undefined ? undefined : openTokenizer(request.tokenizerFolder);
  if (opened !== undefined) assertVocabulary(opened, request);
  const reader = new DataReader(request, sink, opened);
  const digest = createHash("sha256");
  withFile(request.path, (file) => {
    const chunks = chunksOf(file, request.path, (chunk) => digest.update(chunk));
    if (form === "text") reader.readText(chunks);
    else reader.readRows(chunks, form);
  });
  return { path: request.path, sha256: digest.digest("hex"), ...reader.finish() };
}

function assertVocabulary({ tokenizer, file }: OpenedTokenizer, { vocabulary }: DataRequest): void {
  if (tokenizer.highestId < vocabulary) return;
  const problem = `the tokenizer has ids up to ${tokenizer.highestId}, the model has embeddings for 0 to ${vocabulary - 1}`;
  throw new MismatchError("TOKENIZER_MISMATCH", problem, [], {
    file,
    hint: "use the tokenizer that the model was trained with, or a base whose embeddings were resized for it",
  });
}

/** The file's bytes in order; each chunk stands in the same memory. A byte order mark is left out. */
function* chunksOf(
  { fd, identity }: OpenFile,
  path: string,
  onBytes: (bytes: Uint8Array) => void,
): Generator<Uint8Array> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (let position = 0; position < identity.size; position += CHUNK_BYTES) {
    const chunk = buffer.subarray(0, Math.min(CHUNK_BYTES, identity.size - position));
    readFullySync(fd, chunk, position, path);
    onBytes(chunk);
    if (position > 0) yield chunk;
    else yield startOf(chunk, path);
  }
}

function startOf(chunk: Uint8Array, path: string): Uint8Array {
  const start = Buffer.from(chunk.subarray(0, 30)).toString("latin1");
  if (start.startsWith("version https://git-lfs")) assertNotLookAlike(chunk, path);
  return start.startsWith("\u00ef\u00bb\u00bf") ? chunk.subarray(3) : chunk;
}
