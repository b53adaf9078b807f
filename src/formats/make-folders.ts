/**
 * Makes a folder and those around it. Node's recursive `mkdir` runs for ever where the system has folders but lets none
 * be made and says that they do not exist, as below /proc.
 */

import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { statusOf } from "./output-checks.ts";

/** @returns the folders that were not there, innermost first */
export function makeFolders(path: string): string[] {
  const missing: string[] = [];
  for (let folder = resolve(path); statusOf(folder) === undefined; folder = dirname(folder)) missing.push(folder);
  return missing.reverse().filter(makeFolder).reverse();
}

/** Whether it was made here; another run may have been faster. */
function makeFolder(folder: string): boolean {
  try {
    mkdirSync(folder);
    return true;
  } catch (error) {
    if (statusOf(folder)?.isDirectory()) return false;
    throw error;
  }
}
