/**
 * Positional writes that are complete or an error: loops on short writes, retries what the system asks to retry.
 */

import { openSync, writeSync } from "node:fs";
import { FileError, toFileError } from "../core/errors.ts";
import { MAX_IO_BYTES } from "../core/limits.ts";
import { isTransient } from "./byte-source.ts";

/** Opens a file that a stage has created, for positional writes. */
export function openForWriteSync(path: string): number {
  try {
    return openSync(path, "r+");
  } catch (error) {
    throw toFileError(error, path);
  }
}

/** Writes all bytes at `position`. */
export function writeAllSync(fd: number, bytes: Uint8Array, position: number, path: string): void {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(MAX_IO_BYTES, bytes.byteLength - done);
    let count: number;
    try {
      count = writeSync(fd, bytes, done, length, position + done);
    } catch (error) {
      if (isTransient(error)) continue;
      throw toFileError(error, path);
    }
    if (count === 0) throw new FileError("IO_FAILED", "the system wrote nothing", { file: path });
    done += count;
  }
}
