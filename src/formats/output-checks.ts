/**
 * Whether a target may be written at all: it is no input, nothing that must stay is there, and earlier runs are over.
 */

import { lstatSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync } from "node:fs";
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

/** What is read of Node's status, written out: users' compilers then need no types of Node for our declarations. */
interface Status {
  readonly dev: bigint;
  readonly ino: bigint;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

/** @throws {FileError} SAME_PATH, OUTPUT_EXISTS or NOT_A_REGULAR_FILE */
export function assertWritable(target: string, { kind, overwrite, inputs }: TargetRules): void {
  const status = statusOf(target);
  if (status === undefined) return;
  if (holdsInput(target, status, inputs)) {
    throw new FileError("SAME_PATH", "the output would replace an input", {
      file: target,
      hint: "choose another --out; inputs are never modified",
    });
  }
  if (status.isSymbolicLink() || !(status.isFile() || status.isDirectory())) {
    throw new FileError("NOT_A_REGULAR_FILE", "the output path is a link or a special file", {
      file: target,
      hint: "choose another --out",
    });
  }
  const real = realpathSync(target);
  if (isMountPoint(real, status)) {
    throw new FileError("OUTPUT_EXISTS", "is a mount point, which cannot be replaced by a finished folder", {
      file: target,
      hint: "name a folder inside it with --out",
    });
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

/**
 * Whether replacing the target would take an input away: it is one, lies around one (by path or, through bind mounts and
 * the like, by identity), or holds a link to one, as a snapshot of the hub's cache does.
 */
function holdsInput(target: string, status: Status, inputs: readonly FileIdentity[]): boolean {
  const identities = new Set(inputs.map(({ device, inode }) => `${device}:${inode}`));
  const identityOf = ({ dev, ino }: Status) => `${dev}:${ino}`;
  if (identities.has(identityOf(status))) return true;
  if (!status.isDirectory()) return inputs.some(({ path }) => realpathSync(path) === target);
  const around = new Set(inputs.flatMap(({ path }) => foldersAround(realpathSync(path))));
  if ([...around].some((folder) => identityOf(statSync(folder, { bigint: true })) === identityOf(status))) return true;
  return readdirSync(target).some((name) => {
    const inner = statOrUndefined(join(target, name));
    return inner !== undefined && identities.has(identityOf(inner));
  });
}

function foldersAround(path: string): string[] {
  const folder = dirname(path);
  return folder === path ? [] : [folder, ...foldersAround(folder)];
}

/** What a path leads to; `undefined` for a link that leads nowhere. */
function statOrUndefined(path: string): Status | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function isMountPoint(real: string, status: Status): boolean {
  if (statSync(dirname(real), { bigint: true }).dev !== status.dev) return true;
  try {
    // A folder bound from the same disk has its device number; Linux lists it all the same, as the fifth field.
    const escaped = real.replace(/[\\ \t\n]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
    return readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .some((line) => line.split(" ")[4] === escaped);
  } catch {
    return false;
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
  if (statusOf(folder) === undefined) return;
  for (const name of namesIn(folder)) {
    const stage = parseStageName(name, basename(target));
    if (stage === undefined || name === own) continue;
    const path = join(folder, name);
    if (stage.owner === "alive") {
      throw new FileError("OUTPUT_BUSY", "another run is writing it", {
        file: target,
        hint: "wait for it, or stop it",
      });
    }
    if (stage.owner === "elsewhere") continue;
    if (stage.kind === "tmp") rmSync(path, { recursive: true, force: true });
    else if (statusOf(target) === undefined) renameSync(path, target);
    else removeAside(path);
  }
}

/**
 * Removes what the target was. It takes a stage's name first: if the removal is cut short, what is left of it must not
 * come back as a target.
 */
export function removeAside(aside: string): void {
  const rubbish = aside.replace(/\.old$/, ".tmp");
  rmSync(rubbish, { recursive: true, force: true });
  renameSync(aside, rubbish);
  rmSync(rubbish, { recursive: true, force: true });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    throw toFileError(error, folder);
  }
}

/** Of the path itself, not of what a link leads to. */
export function statusOf(path: string): Status | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false });
}
