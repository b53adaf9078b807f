/**
 * Writes npm-shrinkwrap.json for the published package: the lock file's run-time entries, without install scripts.
 *
 * A package from the registry is installed with these versions, and npm runs no script that the file does not announce:
 * onnxruntime-node's downloads CUDA libraries that lora-tool does not need. Runs before `npm pack` and `npm publish`.
 */

import { readFileSync, writeFileSync } from "node:fs";

const root = new URL("../", import.meta.url);
const lock = JSON.parse(readFileSync(new URL("package-lock.json", root), "utf8"));
const packages = Object.entries(lock.packages).filter(([, entry]) => !entry.dev && !entry.devOptional);
const own = lock.packages[""];
delete own.devDependencies;
for (const [, entry] of packages) delete entry.hasInstallScript;
writeFileSync(
  new URL("npm-shrinkwrap.json", root),
  `${JSON.stringify({ ...lock, packages: Object.fromEntries(packages) }, undefined, 2)}\n`,
);
