/** Bytes of a `.jsonl` file → its lines that are not blank. */

import { type Cut, checkRowSize } from "./records.ts";

const [TAB, LINE_FEED, RETURN, SPACE] = [0x09, 0x0a, 0x0d, 0x20];

/** @throws {FormatError} INVALID_ROW for a line that is too long */
export function* cutLines(chunks: Iterable<Uint8Array>, file: string): Generator<Cut> {
  let line = 1;
  let parts: Uint8Array[] = [];
  let length = 0;
  for (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      const bytes = joined(parts, chunk.subarray(start, end));
      checkRowSize(bytes.byteLength, { file, line });
      if (!isBlank(bytes)) yield { bytes, line };
      [parts, length, start] = [[], 0, end + 1];
      line++;
    }
    // The chunk's memory is used again for the next one.
    parts.push(new Uint8Array(chunk.subarray(start)));
    length += chunk.byteLength - start;
    checkRowSize(length, { file, line });
  }
  const bytes = joined(parts, new Uint8Array(0));
  if (!isBlank(bytes)) yield { bytes, line };
}

function joined(parts: readonly Uint8Array[], last: Uint8Array): Uint8Array {
  return parts.length === 0 ? last : Buffer.concat([...parts, last]);
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === SPACE || byte === TAB || byte === RETURN);
}
