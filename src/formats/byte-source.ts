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

/** Opens a regular file for reading; a FIFO, device, socket or folder is refused without hanging on it. */
export function openFileSync(path: string): OpenFile {
  if (path.includes("\0")) throw new FileError("FILE_NOT_FOUND", "the path holds a NUL character", { file: path });
  let fd: number | undefined;
  try {
    // O_NONBLOCK: opening a FIFO without a writer would wait for ever.
    fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const status = fstatSync(fd, { bigint: true });
    if (!status.isFile()) throw new FileError("NOT_A_REGULAR_FILE", "not a regular file", { file: path });
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
    throw toFileError(error, path);
  }
}

/** Runs `use` on an open file and closes it. */
export function withFile<Result>(path: string, use: (file: OpenFile) => Result): Result {
  const file = openFileSync(path);
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
      throw new FileError("INPUT_CHANGED", `ended at byte ${position + done}, expected ${target.byteLength - done} more`, {
        file: path,
        hint: "the file was truncated while it was read",
      });
    }
    done += count;
  }
}

/** A whole file of at most `maxBytes`, with its identity. */
export function readSmallFile(path: string, maxBytes: number): { bytes: Uint8Array; identity: FileIdentity } {
  return withFile(path, ({ fd, identity }) => {
    if (identity.size > maxBytes) {
      throw new FormatError("HEADER_TOO_LARGE", `${identity.size} bytes, expected at most ${maxBytes}`, { file: path });
    }
    const bytes = new Uint8Array(identity.size);
    readFullySync(fd, bytes, 0, path);
    return { bytes, identity };
  });
}

/** Open files of this thread, by path: one descriptor a file, however many tensors it holds. */
const openFiles = new Map<string, OpenFile>();

/** Bytes `byteOffset` … of a tensor, wherever they lie; the file stays open for the next read. */
export function readTensorRangeSync(tensor: TensorData, byteOffset: number, target: Uint8Array): void {
  const { source } = tensor;
  if (source.kind === "memory") {
    target.set(source.bytes.subarray(byteOffset, byteOffset + target.byteLength));
    return;
  }
  const file = openFiles.get(source.path) ?? openFileSync(source.path);
  openFiles.set(source.path, file);
  readFullySync(file.fd, target, source.offset + byteOffset, source.path);
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
  const { identity } = withFile(expected.path, (file) => file);
  const same =
    identity.inode === expected.inode &&
    identity.device === expected.device &&
    identity.size === expected.size &&
    identity.modifiedNs === expected.modifiedNs &&
    identity.changedNs === expected.changedNs;
  if (same) return;
  throw new FileError("INPUT_CHANGED", "the file changed while it was used", {
    file: expected.path,
    hint: "run again when nothing else writes to it",
  });
}

/** Whether a system call is simply to be tried again. */
export function isTransient(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  return code === "EINTR" || code === "EAGAIN";
}
