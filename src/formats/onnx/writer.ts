/**
 * The files of a layout written to disk, with a fixed chunk of memory.
 *
 * Files must exist and be empty, as a stage creates them. Reserved ranges are left to the caller; checksums are filled in at
 * the end, when all else is there, by `finishOnnx`.
 */

import { closeSync } from "node:fs";
import { type OpenFile, openFileSync, readFullySync } from "../byte-source.ts";
import { digestOfFile } from "../digest.ts";
import { openForWriteSync, writeAllSync } from "../write-file.ts";
import type { OnnxLayout } from "./layout.ts";
import type { OutputFile } from "./pieces.ts";

const CHUNK_BYTES = 4 * 1024 * 1024;

/**
 * Writes every piece whose bytes are known. Without reserved ranges nothing else is to be done but `finishOnnx`.
 *
 * @param pathOf path of an output file by its name
 */
export function writeOnnx({ files }: OnnxLayout, pathOf: (file: string) => string): void {
  const inputs = new Map<string, OpenFile>();
  const chunk = new Uint8Array(CHUNK_BYTES);
  try {
    for (const file of files) {
      withOutput(file, pathOf, (fd, path) => {
        for (const { source, offset, byteLength } of file.pieces) {
          if (source.kind === "memory") writeAllSync(fd, source.bytes, offset, path);
          if (source.kind !== "file") continue;
          const input = inputs.get(source.path) ?? openFileSync(source.path);
          inputs.set(source.path, input);
          for (let at = 0; at < byteLength; at += CHUNK_BYTES) {
            const bytes = chunk.subarray(0, Math.min(CHUNK_BYTES, byteLength - at));
            readFullySync(input.fd, bytes, source.offset + at, source.path);
            writeAllSync(fd, bytes, offset + at, path);
          }
        }
      });
    }
  } finally {
    for (const { fd } of inputs.values()) closeSync(fd);
  }
}

/** Writes the pieces that lie in memory and nothing else: what stands between and around the tensors. */
export function writeInline({ files }: OnnxLayout, pathOf: (file: string) => string): void {
  for (const file of files) {
    withOutput(file, pathOf, (fd, path) => {
      for (const { source, offset } of file.pieces) {
        if (source.kind === "memory") writeAllSync(fd, source.bytes, offset, path);
      }
    });
  }
}

/** Fills in the checksums of data files that changed; all their bytes must be written. */
export function finishOnnx({ files }: OnnxLayout, pathOf: (file: string) => string): void {
  const digests = new Map<string, string>();
  for (const file of files) {
    const checksums = file.pieces.filter(({ source }) => source.kind === "sha1");
    if (checksums.length === 0) continue;
    withOutput(file, pathOf, (fd, path) => {
      for (const { source, offset } of checksums) {
        if (source.kind !== "sha1") continue;
        const digest = digests.get(source.file) ?? digestOfFile("sha1", pathOf(source.file));
        digests.set(source.file, digest);
        writeAllSync(fd, Buffer.from(digest), offset, path);
      }
    });
  }
}

function withOutput(file: OutputFile, pathOf: (file: string) => string, use: (fd: number, path: string) => void): void {
  const path = pathOf(file.name);
  const fd = openForWriteSync(path);
  try {
    use(fd, path);
  } finally {
    closeSync(fd);
  }
}
