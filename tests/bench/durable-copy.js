/** What any tool that writes a file of this size must spend: reading it, writing it, and waiting for the disk. */

import { closeSync, copyFileSync, fsyncSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CACHE } from "./model.js";

/** Seconds of a copy that is on the disk when it ends. */
export function durableCopy(path) {
  const target = join(CACHE, "copy");
  rmSync(target, { force: true });
  const started = performance.now();
  copyFileSync(path, target);
  const fd = openSync(target, "r+");
  fsyncSync(fd);
  closeSync(fd);
  const seconds = (performance.now() - started) / 1000;
  rmSync(target);
  return seconds;
}
