// @ts-check
/** What lies in a folder, as one text to compare. */

import { createHash } from "node:crypto";
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * One hash of the names and contents of a folder or file; `absent` where there is nothing.
 *
 * @param {string} path
 */
export function stateOf(path) {
  if (!existsSync(path)) return "absent";
  const digest = createHash("sha256");
  const names = lstatSync(path).isDirectory() ? readdirSync(path, { recursive: true, encoding: "utf8" }).sort() : [""];
  for (const name of names) {
    const file = join(path, name);
    digest.update(`${name}\0`);
    if (lstatSync(file).isFile()) digest.update(readFileSync(file));
  }
  return digest.digest("hex");
}
