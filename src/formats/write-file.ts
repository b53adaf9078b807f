/**
 * Writes that are complete or an error: loops on short writes, retries what the system asks to retry.
 */

import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { chmod, copyFile, stat } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { FileError, InterruptedError, toFileError } from "../core/errors.ts";
import { MAX_IO_BYTES } from "../core/limits.ts";
import { isTransient, readChunks } from "./byte-source.ts";

/** Bytes of one step of a copy. */
const COPY_BYTES = 4 * 1024 * 1024;

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

/** Cuts the file, or lets it grow by zeros. */
export function setSizeSync(fd: number, size: number, path: string): void {
  try {
    ftruncateSync(fd, size);
  } catch (error) {
    throw toFileError(error, path);
  }
}

/** Fills a file that a stage has created with these bytes or this text. */
export function fillFileSync(path: string, content: Uint8Array | string): void {
  withFileToWrite(path, (fd) => {
    writeAllSync(fd, typeof content === "string" ? new TextEncoder().encode(content) : content, 0, path);
  });
}

/** Fills a file that a stage has created with another file's bytes; mode and times are not taken over. */
export function copyIntoSync(source: string, path: string): void {
  withFileToWrite(path, (fd) => {
    let position = 0;
    for (const chunk of readChunks(source, COPY_BYTES)) {
      writeAllSync(fd, chunk, position, path);
      position += chunk.length;
    }
  });
}

/**
 * Fills a file that a stage has created with another file's bytes, copied by the system, which need not pass through this
 * process; mode and times are not taken over.
 */
export async function copyInto(source: string, path: string): Promise<void> {
  try {
    const { mode } = await stat(path);
    await copyFile(source, path);
    await chmod(path, mode);
  } catch (error) {
    throw toFileError(error, source);
  }
}

/**
 * Fills a file that a stage has created with pieces, one after the other; each is written before the next is asked for, so
 * that they may share memory. Other work of the thread runs in between.
 *
 * @throws {InterruptedError} when the signal has come
 */
export async function fillFileInPieces(
  path: string,
  pieces: Iterable<Uint8Array>,
  signal?: AbortSignal,
): Promise<void> {
  const fd = openForWriteSync(path);
  try {
    let position = 0;
    for (const piece of pieces) {
      writeAllSync(fd, piece, position, path);
      position += piece.byteLength;
      await setImmediate();
      if (signal?.aborted) throw new InterruptedError();
    }
  } finally {
    closeSync(fd);
  }
}

/** Runs `use` on a file that a stage has created, open for positional writes. */
export function withFileToWrite(path: string, use: (fd: number) => void): void {
  const fd = openForWriteSync(path);
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}
