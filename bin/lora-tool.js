#!/usr/bin/env node
// Starts the built command line; everything else lives in src/cli.
import { existsSync } from "node:fs";

const program = new URL("../dist/cli/program.js", import.meta.url);
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  refuse(`lora-tool needs Node 20.19 or newer, this is ${process.versions.node}`);
}
if (!existsSync(program)) refuse("lora-tool is not built: run npm ci, or npm run build");
const { main } = await import(program.href);
process.exitCode = await main(process.argv.slice(2));

function refuse(reason) {
  console.error(`error: ${reason}`);
  process.exit(1);
}
