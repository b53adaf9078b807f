/**
 * Hashes of files and of large memory, piece by piece: Node hashes at most 2 GiB at once, and reads no larger file whole.
 */

import { createHash, type Hash } from "node:crypto";
import { MAX_IO_BYTES } from "../core/limits.ts";
import { readChunks } from "./byte-source.ts";

const CHUNK_BYTES = 1024 * 1024;

/** Of a whole file, lower-case hexadecimal. @throws {FileError} */
export function digestOfFile(algorithm: "sha1" | "sha256", path: string): string {
  const hash = createHash(algorithm);
  for (const chunk of readChunks(path, CHUNK_BYTES)) hash.update(chunk);
  return hash.digest("hex");
}

export function updateDigest(hash: Hash, bytes: Uint8Array): void {
  for (let start = 0; start < bytes.length; start += MAX_IO_BYTES) {
    hash.update(bytes.subarray(start, start + MAX_IO_BYTES));
  }
}
