#!/usr/bin/env node
// Starts the built command line; everything else lives in src/cli.
const { main } = await import("../dist/cli/program.js");
process.exitCode = await main(process.argv.slice(2));
