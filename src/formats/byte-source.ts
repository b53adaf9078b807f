/**
 * Reading files by range: regular files only, never past what `fstat` says, never zero-filled.
 *
 * Reads are at most `MAX_IO_BYTES` a call (Node aborts the process at 2^31) and loop until they are complete; a file that
 * ends early was changed or truncated and is an error.
 */

import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { FileError, FormatError, toFileError } from "../core/errors.ts";
import { MAX_IO_BYTES } from "../core/limits.ts";
import type { FileIdentity, TensorData } from "./tensor-store.ts";

/** An open regular file. */
export interface OpenFile {
  readonly fd: number;
  readonly identity: FileIdentity;
}

/**
 * Opens a regular file for reading; a FIFO, device, socket or folder is refused without hanging on it.
 *
 * @param shownPath how errors name it; differs where a link was resolved
 * @throws {FileError} FILE_NOT_FOUND, NOT_A_REGULAR_FILE, PERMISSION_DENIED or IO_FAILED
 */
export function openFileSync(path: string, shownPath = path): OpenFile {
  if (path.includes("\0")) throw new FileError("FILE_NOT_FOUND", "the path holds a NUL character", { file: shownPath });
  let fd: number | undefined;
  try {
    // O_NONBLOCK: opening a FIFO without a writer would wait for ever.
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const status = fstatSync(fd, { bigint: true });
    if (!status.isFile()) throw new FileError("NOT_A_REGULAR_FILE", "not a regular file", { file: shownPath });
    const identity = {
      path,
      size: Number(status.size),
      device: status.dev,
      inode: status.ino,
      modifiedNs: status.mtimeNs,
      changedNs: status.ctimeNs,
    };
    return { fd, identity };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw toFileError(error, shownPath);
  }
}

/** Bytes that can be read at any place. */
export interface RandomAccess {
  /** Named in errors. */
  readonly path: string;
  readonly size: number;
  /** Fills `target` from `position` on. */
  readonly read: (target: Uint8Array, position: number) => void;
}

/** @param shownPath how errors name the file */
export function accessTo({ fd, identity: { size } }: OpenFile, shownPath: string): RandomAccess {
  return { path: shownPath, size, read: (target, position) => readFullySync(fd, target, position, shownPath) };
}

/** Runs `use` on an open file and closes it. */
export function withFile<Result>(path: string, use: (file: OpenFile) => Result, shownPath = path): Result {
  const file = openFileSync(path, shownPath);
  try {
    return use(file);
  } finally {
    closeSync(file.fd);
  }
}

/** Fills `target` from `position` of the file. */
export function readFullySync(fd: number, target: Uint8Array, position: number, path: string): void {
  let done = 0;
  while (done < target.byteLength) {
    const length = Math.min(MAX_IO_BYTES, target.byteLength - done);
    let count: number;
    try {
      count = readSync(fd, target, done, length, position + done);
    } catch (error) {
      if (isTransient(error)) continue;
      throw toFileError(error, path);
    }
    if (count === 0) {
      const problem = `the file ends at byte ${position + done}, expected ${target.byteLength - done} more`;
      throw new FileError("INPUT_CHANGED", problem, { file: path, hint: "it was truncated while it was read" });
    }
    done += count;
  }
}

/**
 * A file's bytes from start to end, `chunkBytes` at a time. All chunks stand in the same memory: what is kept must be copied.
 */
export function* readChunks(path: string, chunkBytes: number): Generator<Uint8Array> {
  const { fd, identity } = openFileSync(path);
  try {
    const buffer = new Uint8Array(Math.min(chunkBytes, identity.size));
    for (let position = 0; position < identity.size; position += chunkBytes) {
      const chunk = buffer.subarray(0, Math.min(chunkBytes, identity.size - position));
      readFullySync(fd, chunk, position, path);
      yield chunk;
    }
  } finally {
    closeSync(fd);
  }
}

/** A whole file of at most `maxBytes`, with its identity. */
export function readSmallFile(
  path: string,
  maxBytes: number,
  shownPath = path,
): { readonly bytes: Uint8Array; readonly identity: FileIdentity } {
  const read = ({ fd, identity }: OpenFile) => {
    if (identity.size > maxBytes) {
      const problem = `the file takes ${identity.size} bytes, expected at most ${maxBytes}`;
      throw new FormatError("HEADER_TOO_LARGE", problem, { file: shownPath });
    }
    const bytes = new Uint8Array(identity.size);
    readFullySync(fd, bytes, 0, shownPath);
    return { bytes, identity };
  };
  return withFile(path, read, shownPath);
}

/** Files that are open until the current turn of the event loop ends, by path: a burst of reads opens each once. */
const openFiles = new Map<string, OpenFile>();
const MAX_OPEN_FILES = 32;

/** Bytes `byteOffset` … of a tensor, wherever they lie; for worker threads, which read by range. */
export function readTensorRangeSync(
  { name, source }: Pick<TensorData, "name" | "source">,
  byteOffset: number,
  target: Uint8Array,
): void {
  if (source.kind === "file") {
    readFullySync(openForBurst(source.path), target, source.offset + byteOffset, source.path);
    return;
  }
  const bytes = source.bytes.subarray(byteOffset, byteOffset + target.byteLength);
  if (bytes.byteLength < target.byteLength) throw new RangeError(`read past the end of tensor ${name}`);
  target.set(bytes);
}

function openForBurst(path: string): number {
  const known = openFiles.get(path);
  if (known !== undefined) return known.fd;
  if (openFiles.size >= MAX_OPEN_FILES) closeOpenFiles();
  // Nothing is held between turns: a file that is replaced is seen, a removed one gives its disk space back.
  if (openFiles.size === 0) setImmediate(closeOpenFiles);
  const file = openFileSync(path);
  openFiles.set(path, file);
  return file.fd;
}

function closeOpenFiles(): void {
  for (const { fd } of openFiles.values()) closeSync(fd);
  openFiles.clear();
}

/** All bytes of a tensor; meant for small ones. */
export function readTensorBytes(tensor: TensorData): Uint8Array {
  const { source } = tensor;
  if (source.kind === "memory") return source.bytes;
  const bytes = new Uint8Array(tensor.byteLength);
  withFile(source.path, ({ fd }) => readFullySync(fd, bytes, source.offset, source.path));
  return bytes;
}

/** @throws {FileError} INPUT_CHANGED when the file at the path is not the one that was opened, or has changed since */
export function assertUnchanged(expected: FileIdentity): void {
  let found: FileIdentity | undefined;
  let cause: unknown;
  try {
    found = withFile(expected.path, ({ identity }) => identity);
  } catch (error) {
    cause = error;
  }
  const same =
    found?.inode === expected.inode &&
    found.device === expected.device &&
    found.size === expected.size &&
    found.modifiedNs === expected.modifiedNs &&
    found.changedNs === expected.changedNs;
  if (same) return;
  throw new FileError("INPUT_CHANGED", "the file changed while it was used", {
    file: expected.path,
    hint: "run again when nothing else writes to it",
    cause,
  });
}

/** Whether a system call is simply to be tried again. */
export function isTransient(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return code === "EINTR" || code === "EAGAIN";
}
