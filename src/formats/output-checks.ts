/**
 * Whether a target may be written at all: it is no input, nothing that must stay is there, and earlier runs are over.
 */

import { lstatSync, readdirSync, realpathSync, renameSync, rmSync, type BigIntStats } from "node:fs";
import { homedir } from "node:os";
import { basename, dirname, join, sep } from "node:path";
import { FileError, toFileError } from "../core/errors.ts";
import { parseStageName } from "./stage-owner.ts";
import type { FileIdentity } from "./tensor-store.ts";

export interface TargetRules {
  /** What the target becomes. */
  readonly kind: "folder" | "file";
  readonly overwrite: boolean;
  /** Files that are read; neither they nor a folder around them may be replaced. */
  readonly inputs: readonly FileIdentity[];
}

/** @throws {FileError} SAME_PATH, OUTPUT_EXISTS or NOT_A_REGULAR_FILE */
export function assertWritable(target: string, { kind, overwrite, inputs }: TargetRules): void {
  const status = statusOf(target);
  if (status === undefined) return;
  const real = status.isSymbolicLink() ? target : realpathSync(target);
  for (const input of inputs) {
    const same = isInside(realpathSync(input.path), real);
    if (same || (status.ino === input.inode && status.dev === input.device)) {
      throw new FileError("SAME_PATH", "the output would replace an input", {
        file: target,
        hint: "choose another --out; inputs are never modified",
      });
    }
  }
  if (status.isSymbolicLink() || !(status.isFile() || status.isDirectory())) {
    throw new FileError("NOT_A_REGULAR_FILE", "the output path is a link or a special file", { file: target });
  }
  if (status.isDirectory() && readdirSync(target).length === 0 && kind === "folder") return;
  if (status.isDirectory() !== (kind === "folder")) {
    const [is, wanted] = status.isDirectory() ? ["a folder", "a file"] : ["a file", "a folder"];
    throw new FileError("OUTPUT_EXISTS", `is ${is}, the output is ${wanted}`, { file: target });
  }
  if (!overwrite) {
    throw new FileError("OUTPUT_EXISTS", "already exists", { file: target, hint: "pass --overwrite to replace it" });
  }
  // `-o . --overwrite` is a slip: it would delete everything that lies around the user.
  if (isInside(process.cwd(), real) || isInside(homedir(), real)) {
    throw new FileError("OUTPUT_EXISTS", "the current folder or the home folder lies in it and would be replaced", {
      file: target,
      hint: "name a folder of its own with --out",
    });
  }
}

/** Both real paths. */
function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/**
 * Clears what killed runs for this target left; a target that was moved aside and not replaced comes back.
 *
 * @param own the stage of this run, which stays
 * @throws {FileError} OUTPUT_BUSY when another run is at work on the same target
 */
export function clearLeftovers(target: string, own: string | undefined): void {
  const folder = dirname(target);
  for (const name of namesIn(folder)) {
    const stage = parseStageName(name, basename(target));
    if (stage === undefined || name === own) continue;
    const path = join(folder, name);
    if (stage.owner === "alive") {
      throw new FileError("OUTPUT_BUSY", "another run is writing it", { file: target, hint: "wait for it, or stop it" });
    }
    if (stage.owner === "elsewhere") continue;
    if (stage.kind === "old" && statusOf(target) === undefined) renameSync(path, target);
    else rmSync(path, { recursive: true, force: true });
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throw toFileError(error, folder);
  }
}

export function statusOf(path: string): BigIntStats | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}
