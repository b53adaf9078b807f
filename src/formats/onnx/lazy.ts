/**
 * Reading again from a model that was opened before, and tensors whose bytes are made when they are first asked for.
 */

import { FileError } from "../../core/errors.ts";
import { accessTo, type OpenFile, withFile } from "../byte-source.ts";
import type { FileIdentity, MemoryRange } from "../tensor-store.ts";
import { WireReader } from "./wire-reader.ts";

/** A model file, and how errors name it. */
export interface OpenedModel {
  readonly identity: FileIdentity;
  readonly path: string;
}

/**
 * Reads from the file that a model was opened from.
 *
 * @throws {FileError} INPUT_CHANGED when it is not the same any more: spans would point anywhere
 */
export function withWire<Result>(opened: OpenedModel, use: (wire: WireReader) => Result): Result {
  const { identity: before, path } = opened;
  const read = ({ fd, identity }: OpenFile) => {
    const same =
      identity.size === before.size &&
      identity.inode === before.inode &&
      identity.device === before.device &&
      identity.modifiedNs === before.modifiedNs;
    if (!same) throw new FileError("INPUT_CHANGED", "the file changed while it was used", { file: path });
    return use(wireOf(fd, { identity, path }));
  };
  return withFile(before.path, read, path);
}

/** A reader over an open file. */
export function wireOf(fd: number, { identity, path }: OpenedModel): WireReader {
  return new WireReader(accessTo({ fd, identity }, path));
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
