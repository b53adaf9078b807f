// @ts-check
/**
 * Runs the recipes of fixtures/recipes/slurm on a real Slurm of one node: a sweep and a merge in parts, then compares them
 * with one run. Needs Debian's slurm-wlm; says so where it is absent.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { CLI } from "../support/process.js";
import { missingPrograms, startCluster } from "./cluster.js";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
const SUBMIT = join(FIXTURES, "recipes/slurm/submit.sh");
const BASE = join(FIXTURES, "stories260K");
const PARTS = "3";

const SWEEP = [
  ..."sweep --ranks 4,64 --seeds 1,2 --lrs 1e-3 --steps 4 --batch-size 4 --threads 1".split(" "),
  ...["--base", BASE],
];
const MERGE = ["merge", BASE, join(FIXTURES, "adapters/shakespeare-rslora-r64")];

const missing = missingPrograms();
if (missing.length > 0) {
  console.log(`skipped: ${missing.join(", ")} not found; on Debian install slurm-wlm`);
  process.exit(0);
}

const folder = mkdtempSync(join(tmpdir(), "lora-tool-slurm-"));
const cluster = await startCluster(folder);
try {
  const data = join(folder, "rows.jsonl");
  const rows = Array.from({ length: 16 }, (_, row) => ({
    input_ids: Array.from({ length: 48 }, (_, at) => 3 + ((row * 131 + at * at * 17) % 500)),
  }));
  writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  await compare("sweep", [...SWEEP, "--data", data], ["report.json", "report.html"]);
  await compare("merge", MERGE, ["model.safetensors", "config.json"]);
  rmSync(folder, { recursive: true });
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\nlogs: ${folder}`);
  process.exitCode = 1;
} finally {
  await cluster.stop();
}

/**
 * The same output by Slurm's jobs and by one run, byte for byte.
 *
 * @param {string} name
 * @param {readonly string[]} args
 * @param {readonly string[]} files
 */
async function compare(name, args, files) {
  const [whole, parts] = [join(folder, `${name}-whole`), join(folder, `${name}-parts`)];
  run(process.execPath, [CLI, ...args, "--quiet", "-o", whole]);
  const submitted = run("sh", [SUBMIT, PARTS, process.execPath, CLI, ...args, "-o", parts]);
  await endOfJobs();
  for (const file of files) {
    if (!existsSync(join(parts, file))) throw new Error(`${name}: no ${file}; ${submitted}`);
    const same = readFileSync(join(parts, file)).equals(readFileSync(join(whole, file)));
    if (!same) throw new Error(`${name}: ${file} differs from that of one run`);
  }
  console.log(`${name}: ${PARTS} parts and a join by Slurm give what one run gives`);
}

async function endOfJobs() {
  for (let waited = 0; waited < 300; waited++) {
    if (run("squeue", ["-h", "-t", "PENDING,RUNNING,COMPLETING"]).trim() === "") return;
    await setTimeout(1000);
  }
  throw new Error(`jobs did not end: ${run("squeue", ["-h"])}`);
}

/**
 * @param {string} file
 * @param {readonly string[]} args
 */
function run(file, args) {
  const { status, stdout, stderr } = spawnSync(file, args, { cwd: folder, env: cluster.env, encoding: "utf8" });
  if (status !== 0) throw new Error(`${file} ${args.join(" ")}: exit ${status}\n${stderr}`);
  return stdout;
}
