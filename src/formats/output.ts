/**
 * All-or-nothing output: everything is written into a staging folder beside the target and renamed onto it at the end.
 *
 * Order: data → fsync of every file → fsync of the staging folder → rename → fsync of the parent. A run that is killed
 * leaves the old target or none, and a staging folder that the next run removes. An fsync that fails is never tried
 * again (the kernel has dropped the pages by then): the stage is discarded.
 */

import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmdirSync, rmSync, statfsSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { FileError, InterruptedError, toFileError } from "../core/errors.ts";
import { makeFolders } from "./make-folders.ts";
import { assertWritable, clearLeftovers, removeAside, statusOf, type TargetRules } from "./output-checks.ts";
import { stageName } from "./stage-owner.ts";

/** Plain names, at most one folder deep, never from a file's content unchecked. */
const FILE_NAME = /^(?:[^/\\:\0]{1,100}\/)?[^/\\:\0]{1,255}$/;

export class StagedOutput {
  readonly #target: string;
  readonly #rules: TargetRules;
  readonly #folder: string;
  /** Folders around the target that were made for it, innermost first. */
  readonly #parents: readonly string[];
  readonly #files: string[] = [];
  readonly #folders: string[] = [];
  readonly #scratch: string[] = [];
  #flushed = 0;

  constructor(target: string, rules: TargetRules, folder: string, parents: readonly string[]) {
    this.#target = target;
    this.#rules = rules;
    this.#folder = folder;
    this.#parents = parents;
    this.#folders.push(folder);
  }

  /** Creates an empty file in the stage and returns its path. A stage for a file takes exactly one. */
  createFile(name: string): string {
    if (!FILE_NAME.test(name) || name.split("/").some((part) => part === "." || part === "..")) {
      throw new FileError("PATH_ESCAPE", "not a plain file name", { file: this.#target, subject: name });
    }
    const path = join(this.#folder, name);
    return this.#attempt(() => {
      if (dirname(path) !== this.#folder && statusOf(dirname(path)) === undefined) {
        mkdirSync(dirname(path));
        this.#folders.push(dirname(path));
      }
      closeSync(openSync(path, "wx"));
      this.#files.push(path);
      return path;
    });
  }

  /** Creates an empty file for numbers on the way, on the disk of the output; it is gone when the output appears. */
  createScratch(): string {
    const path = join(this.#folder, `scratch-${this.#scratch.length}`);
    return this.#attempt(() => {
      closeSync(openSync(path, "wx"));
      this.#scratch.push(path);
      return path;
    });
  }

  /** @throws {FileError} DISK_FULL when fewer bytes are free than will be written */
  reserve(bytes: number): void {
    const { bavail, blocks, bsize } = this.#attempt(() => statfsSync(this.#folder));
    // Some file systems do not count their blocks.
    if (blocks === 0 || bavail * bsize >= bytes) return;
    throw new FileError("DISK_FULL", `needs ${bytes} bytes, ${bavail * bsize} are free`, {
      file: this.#target,
      hint: "free some space, or write to another disk",
    });
  }

  /** Makes the files created so far durable; they must be complete, reads may go on. `publish` does it for the rest. */
  async flush(): Promise<void> {
    const files = this.#files.slice(this.#flushed);
    for (const path of files) {
      try {
        const file = await open(path, "r+");
        await file.sync().finally(() => file.close());
      } catch (error) {
        throw toFileError(error, this.#target);
      }
    }
    this.#flushed += files.length;
  }

  /**
   * Renames the stage onto the target. From here on the target is complete and durable.
   *
   * @throws {InterruptedError} when the signal has come before the rename
   * @throws {FileError} OUTPUT_EXISTS when something has come to lie there since the start and may not be replaced
   */
  async publish(signal?: AbortSignal): Promise<void> {
    await this.flush();
    if (signal?.aborted) throw new InterruptedError();
    this.#attempt(() => {
      for (const path of this.#scratch) rmSync(path);
      for (const folder of this.#folders.toReversed()) syncFolder(folder);
      assertWritable(this.#target, this.#rules);
      if (this.#rules.kind === "folder") this.#replaceFolder();
      else {
        renameSync(this.#files[0] ?? "", this.#target);
        syncFolder(dirname(this.#target));
      }
      for (const parent of this.#parents) syncFolder(dirname(parent));
      if (this.#rules.kind === "file") rmSync(this.#folder, { recursive: true, force: true });
    });
  }

  /** Removes the stage and what was made for it; the target stays as it was. */
  discard(): void {
    try {
      rmSync(this.#folder, { recursive: true, force: true });
      for (const parent of this.#parents) rmdirSync(parent);
    } catch {
      // What remains is empty or is cleared by the next run; the error that led here says more.
    }
  }

  /** A folder cannot be renamed onto one that is not empty: the old one steps aside first, and comes back on a failure. */
  #replaceFolder(): void {
    const aside = this.#folder.replace(/\.tmp$/, ".old");
    let exists = statusOf(this.#target) !== undefined;
    if (exists && !this.#rules.overwrite) {
      // Empty, or this fails: nothing is ever deleted that was not to be replaced.
      rmdirSync(this.#target);
      exists = false;
    }
    if (exists) renameSync(this.#target, aside);
    try {
      renameSync(this.#folder, this.#target);
      try {
        syncFolder(dirname(this.#target));
      } catch (error) {
        renameSync(this.#target, this.#folder);
        throw error;
      }
    } catch (error) {
      if (exists) renameSync(aside, this.#target);
      throw error;
    }
    if (exists) removeAside(aside);
  }

  #attempt<Result>(act: () => Result): Result {
    try {
      return act();
    } catch (error) {
      throw toFileError(error, this.#target);
    }
  }
}

/**
 * Opens a stage for a target, after clearing what killed runs left behind.
 *
 * @throws {FileError} when the target may not be written, is busy, or its folder cannot be written to
 */
export function stageOutput(path: string, rules: TargetRules): StagedOutput {
  const target = resolve(path);
  try {
    const parents = makeFolders(dirname(target));
    clearLeftovers(target, undefined);
    assertWritable(target, rules);
    const name = stageName(basename(target));
    const folder = join(dirname(target), name);
    mkdirSync(folder);
    const staged = new StagedOutput(target, rules, folder, parents);
    try {
      // Two runs that start together both get here; each sees the other's stage.
      clearLeftovers(target, name);
    } catch (error) {
      staged.discard();
      throw error;
    }
    return staged;
  } catch (error) {
    throw toFileError(error, path);
  }
}

/** Durable names of a folder; not every system can open folders, and those that cannot need no fsync. */
function syncFolder(path: string): void {
  if (process.platform === "win32") return;
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
