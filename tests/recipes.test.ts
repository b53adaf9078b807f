/** The recipes for clusters, with stand-ins for the cluster's commands; `npm run slurm` runs them on a real one. */

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { runCommand } from "./support/process.js";

const RECIPES = join(import.meta.dirname, "../fixtures/recipes");
const bin = mkdtempSync(join(tmpdir(), "lora-tool-recipes-"));
const PATH = `${bin}:${process.env["PATH"]}`;

afterAll(() => rmSync(bin, { recursive: true }));

/** A program that prints what it was called with. */
function standIn(name: string, script: string): void {
  writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, name), 0o755);
}

describe("the recipe for Slurm", () => {
  it("submits an array of parts and a join that waits for them", () => {
    standIn("sbatch", `echo "$*" >> "${bin}/submitted"; echo 17`);
    const ended = runCommand(["sh", join(RECIPES, "slurm/submit.sh"), "4", "lora-tool", "sweep", "-o", "a b"], {
      env: { PATH },
    });
    expect(ended.stderr).toBe("");
    const folder = join(RECIPES, "slurm");
    expect(readFileSync(join(bin, "submitted"), "utf8").split("\n")).toEqual([
      `--parsable --array=1-4 ${folder}/part.sh lora-tool sweep -o a b`,
      `--parsable --dependency=afterok:17 ${folder}/finish.sh lora-tool sweep -o a b`,
      "",
    ]);
  });

  it("gives each job its part", () => {
    const env = { SLURM_ARRAY_TASK_ID: "3", SLURM_ARRAY_TASK_COUNT: "4" };
    const ended = runCommand(["sh", join(RECIPES, "slurm/part.sh"), "echo", "sweep", "-o", "out"], { env });
    expect(ended.stdout).toBe("sweep -o out --part 3/4 --quiet\n");
  });
});

describe("the recipe for Kubernetes", () => {
  const yaml = readFileSync(join(RECIPES, "kubernetes/sweep.yaml"), "utf8");
  const commands = [...yaml.matchAll(/^ +- (exec lora-tool .*)$/gm)].map(([, command = ""]) => command);

  it("gives each pod its part, counted from 1, and joins as many", () => {
    standIn("lora-tool", 'echo "$*"');
    const completions = /completions: (\d+)/.exec(yaml)?.[1];
    const run = (command = "", env = {}) => runCommand(["sh", "-c", command], { env: { PATH, ...env } }).stdout.trim();
    const first = run(commands[0], { JOB_COMPLETION_INDEX: "0" });
    const last = run(commands[0], { JOB_COMPLETION_INDEX: String(Number(completions) - 1) });
    expect(first).toMatch(new RegExp(` --part 1/${completions} --quiet$`));
    expect(last).toMatch(new RegExp(` --part ${completions}/${completions} --quiet$`));
    expect(run(commands[1])).toBe(first.replace(/ --part.*/, " --finish"));
  });
});
