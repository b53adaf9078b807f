/**
 * A text file → pieces of equal length, each a row: what the tokenizer puts in front of a text (BOS), then the next tokens of the
 * file until `maxLength` are full. The last piece is as long as it comes; no EOS is added, because no text ends there.
 */

import { FormatError } from "../../core/errors.ts";
import type { Sequence } from "./batch.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

export interface TextPiece {
  readonly sequence: Sequence;
  /** Where the text is read that completed the piece. */
  readonly line: number;
}

/**
 * @param chunks the file's bytes in order
 * @throws {FormatError} INVALID_UTF8 naming the line
 */
export function* cutPieces(
  chunks: Iterable<Uint8Array>,
  file: string,
  { tokenizer, maxLength }: { readonly tokenizer: Tokenizer; readonly maxLength: number },
): Generator<TextPiece> {
  const { prefix } = tokenizer.ends;
  const room = maxLength - prefix.length;
  if (room < 1)
    throw new FormatError("INVALID_ROW", `${maxLength} tokens hold nothing behind the tokenizer's own`, { file });
  const stream = tokenizer.openStream();
  let waiting: number[] = [];
  let line = 1;
  const pieceOf = (ids: readonly number[]): TextPiece => {
    const tokens = Int32Array.from([...prefix, ...ids]);
    return { sequence: { tokens, labels: tokens }, line };
  };
  const full = function* (ids: readonly number[]) {
    waiting = waiting.concat(ids);
    let start = 0;
    for (; waiting.length - start >= room; start += room) yield pieceOf(waiting.slice(start, start + room));
    waiting = waiting.slice(start);
  };
  for (const { text, lines } of decodeChunks(chunks, file)) {
    for (const ids of stream.push(text)) yield* full(ids);
    line += lines;
  }
  for (const ids of stream.end()) yield* full(ids);
  if (waiting.length > 0) yield pieceOf(waiting);
}

/** Text of each chunk and the number of lines that end in it. */
function* decodeChunks(chunks: Iterable<Uint8Array>, file: string): Generator<{ text: string; lines: number }> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let line = 1;
  const decode = (bytes?: Uint8Array) => {
    try {
      return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
    } catch (cause) {
      const problem = `line ${line + validLines(bytes)}: the text is not valid UTF-8`;
      throw new FormatError("INVALID_UTF8", problem, { file, cause });
    }
  };
  for (const chunk of chunks) {
    const text = decode(chunk);
    const lines = text.split("\n").length - 1;
    yield { text, lines };
    line += lines;
  }
  yield { text: decode(), lines: 0 };
}

/** Lines before the first that is not valid; its first bytes may belong to a character of the chunk before. */
function validLines(bytes: Uint8Array | undefined): number {
  const lines = Buffer.from(bytes ?? [])
    .toString("latin1")
    .split("\n");
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const invalid = lines.findIndex((line, index) => {
    try {
      decoder.decode(Buffer.from(index === 0 ? line.replace(/^[\x80-\xbf]{1,3}/, "") : line, "latin1"));
      return false;
    } catch {
      return true;
    }
  });
  return Math.max(0, invalid);
}
