/**
 * Reading again from a model that was opened before, and tensors whose bytes are made when they are first asked for.
 */

import { FileError } from "../../core/errors.ts";
import { readFullySync, withFile } from "../byte-source.ts";
import type { FileIdentity, MemoryRange } from "../tensor-store.ts";
import { WireReader } from "./wire-reader.ts";

/**
 * Reads from the file that a model was opened from.
 *
 * @throws {FileError} INPUT_CHANGED when it is not the same any more: spans would point anywhere
 */
export function withWire<Result>(opened: FileIdentity, use: (wire: WireReader) => Result): Result {
  return withFile(opened.path, ({ fd, identity }) => {
    const same =
      identity.size === opened.size &&
      identity.inode === opened.inode &&
      identity.device === opened.device &&
      identity.modifiedNs === opened.modifiedNs;
    if (!same) throw new FileError("INPUT_CHANGED", "the file changed while it was used", { file: opened.path });
    return use(wireOf(fd, identity));
  });
}

/** A reader over an open file. */
export function wireOf(fd: number, { path, size }: FileIdentity): WireReader {
  return new WireReader({ path, size, read: (target, position) => readFullySync(fd, target, position, path) });
}

/** Bytes that are made once, at the first look; a copy to another thread is a look. */
export function lazyBytes(make: () => Uint8Array): MemoryRange {
  let made: Uint8Array | undefined;
  return {
    kind: "memory",
    get bytes() {
      made ??= make();
      return made;
    },
  };
}
