/** `lora-tool train` as people and scripts meet it. */

import { execSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { CLI, runCli } from "../support/process.js";
import { temporaryFile, temporaryFolder } from "../support/temporary-folder.ts";
import { metricsOf, ROWS, TINY, weightsOf } from "./run-fixture.ts";

let out: string;

beforeEach(() => {
  out = join(temporaryFolder(), "adapter");
});

const command = (...more: string[]) => ["train", "--base", TINY, "--data", ROWS, "-o", out, "--device", "cpu", ...more];

describe("train", () => {
  it("writes a PEFT folder, metrics and a report, and says what it did", () => {
    const { code, stdout, stderr } = runCli(
      command("--steps", "3", "--scaling", "rslora", "--rank", "16", "--lr", "1e-3"),
    );
    expect([code, stderr.replace(/^warning: .*\n/gm, "")]).toEqual([0, ""]);
    expect(readdirSync(out).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
      "metrics.jsonl",
      "module-norms.jsonl",
      "report.html",
      "tensorboard",
    ]);
    expect(stdout).toMatch(/rsLoRA, scale = alpha \/ √rank/);
    const losses = metricsOf(out).map(({ loss }) => loss.toFixed(4));
    expect(stdout).toMatch(new RegExp(`^loss +${losses[0]} in step 1, ${losses[2]} in step 3$`, "m"));
    expect(stdout).toMatch(/^2 +16 +16 +4 +[\d,]+ +model\.layers\.\*\.self_attn\.q_proj$/m);
    expect(JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8"))).toMatchObject({
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      base_model_name_or_path: TINY,
      r: 16,
      lora_alpha: 16,
      use_rslora: true,
      target_modules: ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"],
    });
    const [first] = metricsOf(out);
    expect(Object.keys(first ?? {})).toEqual(["step", "loss", "grad_norm", "lr", "tokens", "tokens_per_second"]);
    expect(first).toMatchObject({ step: 1, lr: 1e-3 });
  });

  it("names the command that merges the adapter, as a shell takes it", () => {
    out = join(temporaryFolder(), "of mine's");
    const { stdout } = runCli(command("--steps", "1"));
    expect(stdout).toMatch(/^loss +\d+\.\d{4} in step 1$/m);
    const [, merge = ""] = /^next +lora-tool (.*)$/m.exec(stdout) ?? [];
    const told = execSync(`'${process.execPath}' '${CLI}' ${merge}`, { encoding: "utf8", stdio: "pipe" });
    expect(told).toMatch(/^verified +.*all equal/m);
    expect(existsSync(`${out}-merged/model.safetensors`)).toBe(true);
  });

  it("prints one JSON object under --json, and nothing under --quiet but results", () => {
    const { code, stdout, stderr } = runCli(command("--steps", "1", "--json"));
    expect([code, stderr]).toEqual([0, ""]);
    expect(JSON.parse(stdout)).toMatchObject({ out, totalSteps: 1, result: { steps: 1, device: { device: "cpu" } } });
  });

  it("plans without writing: rows, modules, steps, memory and advice", () => {
    const { code, stdout } = runCli(command("--epochs", "2", "--grad-accum", "4", "--dry-run"));
    expect(code).toBe(0);
    for (const line of [/^steps +4, 2 an epoch$/m, /^memory +about /m, /^advice +/m, /scored/]) {
      expect(stdout).toMatch(line);
    }
    expect(existsSync(out)).toBe(false);
  });

  it("has a first learning rate of 0 with warm-up, and the given one at its end", () => {
    runCli(command("--steps", "4", "--warmup-steps", "2", "--lr", "1e-3"));
    expect(metricsOf(out).map(({ lr }) => lr)).toEqual([0, 5e-4, 1e-3, 1e-3]);
  });

  it("leaves an earlier run as it was, or no folder, where the device is absent", () => {
    // No platform has both.
    const absent = ["--device", process.platform === "win32" ? "coreml" : "dml"];
    const first = runCli(["train", "--base", TINY, "--data", ROWS, "-o", out, "--steps", "1", ...absent]);
    expect([first.code, existsSync(out)]).toEqual([1, false]);
    expect(runCli(command("--steps", "1")).code).toBe(0);
    const before = readdirSync(out);
    const weights = weightsOf(out);
    expect(runCli([...command("--steps", "1", "--overwrite"), ...absent]).code).toBe(1);
    expect(readdirSync(out)).toEqual(before);
    expect(weightsOf(out).equals(weights)).toBe(true);
  });

  it("saves a checkpoint on SIGINT, ends with 130, and goes on with --resume", async () => {
    const args = command("--steps", "12", "--lr", "1e-2", "--save-every", "5");
    expect(runCli(args).code).toBe(0);
    const weights = weightsOf(out);
    const child = spawn(process.execPath, [CLI, ...args, "--overwrite"], { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.setEncoding("utf8");
    let told = "";
    child.stderr.on("data", (text: string) => {
      told += text;
      // Once: a second signal does not wait for the checkpoint.
      if (/step-5\n/.test(told) && !child.killed) child.kill("SIGINT");
    });
    const [code] = await once(child, "exit");
    const newest = Math.max(...readdirSync(join(out, "checkpoints")).map((name) => Number(name.slice(5))));
    // It may have been too fast to be stopped before the end.
    expect([0, 130]).toContain(code);
    if (code === 130) expect(told).toContain(`step-${newest}\nerror: interrupted`);
    const resumed = runCli([...args, "--resume"]);
    expect([resumed.code, resumed.stderr.replace(/^(?:warning|checkpoint): .*\n/gm, "")]).toEqual([0, ""]);
    expect(weightsOf(out).equals(weights)).toBe(true);
  });
});

describe("wrong usage ends with 2 and names the flag:", () => {
  it.each<[string[], RegExp]>([
    [
      ["--target-modules", "q_prj"],
      /--target-modules q_prj": no layer of the base has this name, expected one of .*"q_proj"/,
    ],
    [["--rank", "0"], /--rank/],
    [["--betas", "0.9"], /--betas/],
    [["--layers", "3-1"], /--layers/],
    [["--scheduler-args", "cycles"], /--scheduler-args/],
    [["--eval-every", "3"], /evalEvery needs evalData/],
    [["--optimizer", "lion"], /Allowed choices are adamw, sgd/],
  ])("%j", (flags, message) => {
    const { code, stdout, stderr } = runCli(command("--steps", "1", ...flags));
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(message);
    expect(existsSync(out)).toBe(false);
  });
});

describe("files that cannot be processed end with 1 and are named:", () => {
  it.each<[string, () => string[], RegExp]>([
    ["a base without weights", () => ["--base", temporaryFolder()], /expected .*safetensors|no .*weights/i],
    [
      "a base of a kind that is not known",
      () => {
        const base = temporaryFolder();
        writeFileSync(join(base, "model.safetensors"), readFileSync(join(TINY, "model.safetensors")));
        writeFileSync(join(base, "config.json"), '{"model_type": "mamba"}');
        return ["--base", base];
      },
      /config\.json: "model_type": .*mamba/,
    ],
    [
      "rows that are broken",
      () => ["--data", temporaryFile("rows.jsonl", '{"input_ids": [1, 2]}\n{"input_ids": [1,')],
      /line 2/,
    ],
    [
      "rows with nothing to learn",
      () => ["--data", temporaryFile("rows.jsonl", '{"input_ids": [1]}\n')],
      /rows\.jsonl/,
    ],
    [
      "tokens that the model does not know",
      () => ["--data", temporaryFile("rows.jsonl", '{"input_ids": [1, 40]}\n')],
      /line 1.*40/,
    ],
    [
      "an initial adapter of another model",
      () => ["--init-adapter", join(TINY, "../../adapters/shakespeare-lora-r8")],
      /shakespeare-lora-r8/,
    ],
    [
      "an initial adapter of a model with other layers",
      () => ["--init-adapter", join(TINY, "../../peft/gpt2-lora/adapter")],
      /gpt2-lora\/adapter: the adapter is for another model:\n.*c_attn/,
    ],
  ])("%s", (_, flags, message) => {
    const { code, stderr } = runCli(command("--steps", "1", ...flags()));
    expect(stderr).toMatch(message);
    expect([1, 2]).toContain(code);
    expect(stderr).not.toMatch(/bug in lora-tool|\n {4}at /);
    expect(existsSync(out)).toBe(false);
  });
});
