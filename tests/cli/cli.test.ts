/** The built command line as scripts and people meet it: exit codes, streams, messages. */

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { CLI, runCli, runCommand, works } from "../support/process.js";
import { fileOf } from "../support/safetensors-bytes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
const BASE = join(FIXTURES, "stories260K");
const ADAPTER = join(FIXTURES, "adapters/shakespeare-lora-r8");
const COMMANDS = ["merge", "rescale", "resize", "combine", "extract", "convert", "verify", "train", "sweep", "inspect"];

const mergeInto = (out: string) => ["merge", BASE, ADAPTER, "-o", out, "--workers", "1"];

describe("help", () => {
  test("lists every command, and every command shows examples that start with it", () => {
    const { code, stdout, stderr } = runCli(["--help"]);
    expect([code, stderr]).toEqual([0, ""]);
    const listed = [...stdout.matchAll(/^ {2}(\w+) \[options\]/gm)].map(([, name]) => name);
    expect(listed).toEqual(COMMANDS);
    for (const command of COMMANDS) {
      const help = runCli([command, "--help"]);
      expect([help.code, help.stderr]).toEqual([0, ""]);
      expect(help.stdout).toMatch(new RegExp(`Examples:\n {2}\\$ lora-tool ${command} `));
      expect(help.stdout).toContain("--json");
      expect(help.stdout).toContain("--quiet");
      expect(help.stdout).toContain("--overwrite");
      expect(help.stdout).toContain("--dry-run");
    }
  });

  test("shows the flags that a command needs in its usage", () => {
    const usage = (command: string) => runCli([command, "--help"]).stdout.split("\n")[0];
    expect(usage("merge")).toBe("Usage: lora-tool merge <base> [adapter[=weight]...] -o <path> [options]");
    expect(usage("train")).toBe("Usage: lora-tool train --base <path> --data <file> -o <path> [options]");
    expect(usage("inspect")).toBe("Usage: lora-tool inspect <path> [options]");
  });

  test("--version prints the version of the package", () => {
    const manifest = JSON.parse(readFileSync(join(CLI, "../../package.json"), "utf8"));
    expect(runCli(["--version"])).toMatchObject({ code: 0, stdout: `${manifest.version}\n`, stderr: "" });
  });
});

describe("wrong usage", () => {
  test.each<[string, string[], RegExp]>([
    ["no command", [], /Usage: lora-tool/],
    ["an unknown command", ["mrege"], /unknown command 'mrege'\n\(Did you mean merge\?\)/],
    ["an unknown option", [...mergeInto("x"), "--overwritte"], /'--overwritte'\n\(Did you mean --overwrite\?\)/],
    ["no base", ["merge", "-o", "x"], /missing required argument 'base'/],
    ["no adapter", ["merge", BASE, "-o", "x"], /expected at least one adapter, got none/],
    [
      "no output",
      ["merge", BASE, ADAPTER],
      /^error: expected -o, --out <path>\nhint: lora-tool merge --help shows all flags\n$/,
    ],
    ["several missing flags", ["train"], /expected --base <path> and --data <file> and -o, --out <path>/],
    [
      "a mistyped flag that is required",
      ["train", "--bsae", "x"],
      /'--bsae'\n\(Did you mean --base\?\)\n\(lora-tool train --help/,
    ],
    ["no path", ["inspect"], /missing required argument 'path'/],
    ["nothing to verify", ["verify", BASE, ADAPTER], /expected <base> <adapter>\.\.\. <merged>/],
    ["an unknown unit", [...mergeInto("x"), "--max-shard-size", "5XB"], /'5XB' is invalid.*such as 5GB/],
    ["a size of zero", [...mergeInto("x"), "--max-shard-size", "0"], /'0' is invalid/],
    ["no workers", ["merge", BASE, ADAPTER, "-o", "x", "--workers", "0"], /'0' is invalid.*at least 1/],
    ["half a worker", ["merge", BASE, ADAPTER, "-o", "x", "--workers", "1.5"], /'1.5' is invalid/],
    ["a part behind the last", [...mergeInto("x"), "--part", "3/2"], /'3\/2' is invalid.*1 ≤ i ≤ n/],
    ["part zero", [...mergeInto("x"), "--part", "0/2"], /'0\/2' is invalid/],
    ["a part and the end", [...mergeInto("x"), "--part", "1/2", "--finish"], /exclude each other/],
    ["an unknown method", [...mergeInto("x"), "--method", "magic"], /'magic' is invalid.*Allowed choices/],
    ["an unknown dtype", [...mergeInto("x"), "--dtype", "i8"], /'i8' is invalid.*Allowed choices/],
    ["an unknown device", [...mergeInto("x"), "--device", "tpu"], /'tpu' is invalid.*Allowed choices/],
    ["an empty weight", ["merge", BASE, `${ADAPTER}=`, "-o", "x"], /expected a number behind "=", got ""/],
    ["a weight in words", ["merge", BASE, `${ADAPTER}=half`, "-o", "x"], /expected a number behind "=", got "half"/],
    ["an endless weight", ["merge", BASE, `${ADAPTER}=Infinity`, "-o", "x"], /got "Infinity"/],
    ["a graph for a folder", ["merge", BASE, ADAPTER, "-o", "x.onnx"], /the base is no graph/],
    ["a file for a folder", ["merge", BASE, ADAPTER, "-o", "x.safetensors"], /the base is a folder/],
  ])("%s exits with 2, says what was expected and writes nothing", (_, args, message) => {
    const cwd = temporaryFolder();
    const { code, stdout, stderr } = runCli(args, { cwd });
    expect(stderr).toMatch(message);
    expect([code, stdout]).toEqual([2, ""]);
    expect(readdirSync(cwd)).toEqual([]);
  });

  test("under --json is one JSON object on stderr", () => {
    const { code, stdout, stderr } = runCli(["merge", BASE, ADAPTER, "--json", "--workers", "0"]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(JSON.parse(stderr)).toMatchObject({ code: "INVALID_OPTION", message: expect.stringContaining("--workers") });
  });
});

test("an older Node is told so instead of failing inside a module", () => {
  const older = 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "18.20.8" } })';
  const preload = `data:text/javascript,${encodeURIComponent(older)}`;
  const { code, stdout, stderr } = runCommand([process.execPath, "--import", preload, CLI, "--help"]);
  expect([code, stdout, stderr]).toEqual([1, "", "error: lora-tool needs Node 20.19 or newer, this is 18.20.8\n"]);
});

describe("files that cannot be processed", () => {
  test("exit with 1, one line for the cause and one for what to do", () => {
    const { code, stdout, stderr } = runCli(["inspect", "./nowhere"]);
    expect([code, stdout, stderr]).toEqual([1, "", "error: ./nowhere: no such file or folder\nhint: check the path\n"]);
  });

  test("are one JSON object on stderr under --json", () => {
    const { code, stdout, stderr } = runCli(["merge", "nowhere", ADAPTER, "-o", "x", "--json"]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(JSON.parse(stderr)).toEqual({
      code: "FILE_NOT_FOUND",
      message: "nowhere: no such file or folder",
      hint: "check the path",
      file: "nowhere",
    });
  });

  test("a plan of a verification compares headers, shows scales and recomputes nothing", () => {
    const plan = runCli(["verify", BASE, ADAPTER, BASE, "--dry-run"]);
    expect([plan.code, plan.stderr]).toEqual([0, ""]);
    expect(plan.stdout).toMatch(/^merge {3}model\.layers\.0\.mlp\.down_proj\.weight /m);
    expect(plan.stdout).toMatch(/^adapter .* scale 2\nfits .*nothing was recomputed\n$/m);
    const misfit = runCli(["verify", BASE, ADAPTER, ADAPTER, "--dry-run"]);
    expect(misfit.code).toBe(1);
  });

  test("an inspection of a model groups its weights by layers", () => {
    const { stdout } = runCli(["inspect", BASE]);
    expect(stdout).toMatch(/^tensors +dtype +shape +bytes +name$/m);
    expect(stdout).toMatch(/^5 +f32 +\[64, 172\] +220 kB +model\.layers\.\*\.mlp\.down_proj\.weight$/m);
  });

  test("an inspection takes the flags about writing that every command takes", () => {
    const { code, stdout } = runCli(["inspect", ADAPTER, "--overwrite", "--dry-run"]);
    expect([code, stdout]).toEqual([0, runCli(["inspect", ADAPTER]).stdout]);
  });

  test("a model that fails verification prints its report and exits with 1", () => {
    const { code, stdout, stderr } = runCli(["verify", BASE, ADAPTER, BASE, "--json"]);
    expect(code).toBe(1);
    expect(JSON.parse(stdout).passed).toBe(false);
    expect(JSON.parse(stderr).code).toBe("VERIFICATION_FAILED");
  });
});

describe("a merge", () => {
  test("prints its report in words on stdout and nothing on stderr", () => {
    const out = join(temporaryFolder(), "out");
    const { code, stdout, stderr } = runCli(mergeInto(out));
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^adapter .*LoRA, 35 modules, rank 8, scale 2\n/);
    expect(stdout).toContain(`wrote     ${out}, `);
    expect(stdout).not.toContain("\u001b");
  });

  test("prints one JSON object alone on stdout under --json", () => {
    const out = join(temporaryFolder(), "out");
    const { code, stdout, stderr } = runCli([...mergeInto(out), "--json", "--verify"]);
    expect([code, stderr]).toEqual([0, ""]);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ out, tensors: { merge: 35 }, verification: { passed: true, different: 0 } });
    expect(report.result.files).toEqual([
      { name: "model.safetensors", sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
    ]);
  });

  test("prints warnings on stderr, and none under --quiet or --json", () => {
    const folder = temporaryFolder();
    const base = copyOfBase(folder);
    writeFileSync(join(base, "notes.txt"), "");
    const args = ["merge", base, ADAPTER, "-o", join(folder, "out"), "--workers", "1", "--overwrite"];
    expect(runCli(args).stderr).toMatch(/^warning: .*not carried over: notes\.txt\n$/);
    expect(runCli([...args, "--quiet"])).toMatchObject({
      code: 0,
      stderr: "",
      stdout: expect.stringContaining("wrote"),
    });
    const quiet = runCli([...args, "--json"]);
    expect(quiet.stderr).toBe("");
    expect(JSON.parse(quiet.stdout).warnings).toEqual([expect.stringContaining("notes.txt")]);
  });

  test("plans under --dry-run and writes nothing, not even folders", () => {
    const folder = temporaryFolder();
    const { code, stdout } = runCli([...mergeInto(join(folder, "deep/er/out")), "--dry-run"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^action +tensor +dtype +shape +modules\n/);
    expect(stdout).toMatch(/^merge +model\.layers\.0\.mlp\.down_proj\.weight +f32 /m);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("creates nothing outside of its output: no caches, no logs, no telemetry", () => {
    const folder = temporaryFolder();
    for (const name of ["home", "tmp", "cwd"]) mkdirSync(join(folder, name));
    const at = (name: string) => join(folder, name);
    const env = { HOME: at("home"), TMPDIR: at("tmp"), XDG_CACHE_HOME: at("home"), ORT_DISABLE_TELEMETRY: undefined };
    expect(runCli(mergeInto(at("out")), { env, cwd: at("cwd") }).code).toBe(0);
    expect(readdirSync(folder, { recursive: true }).filter((name) => !String(name).startsWith("out"))).toEqual(
      expect.arrayContaining(["cwd", "home", "tmp"]),
    );
    for (const name of ["home", "tmp", "cwd"]) expect(readdirSync(at(name)), name).toEqual([]);
  });
});

describe("names out of files and arguments", () => {
  const NASTY = "w\u001b[2J\u009b31m\u202e\n";

  test("are escaped wherever they are printed, in words and in JSON", () => {
    const folder = temporaryFolder();
    const path = join(folder, "model.safetensors");
    const header = { __metadata__: { [NASTY]: NASTY }, [NASTY]: { dtype: "F32", shape: [1], data_offsets: [0, 4] } };
    writeFileSync(path, fileOf(JSON.stringify(header), 4));
    const words = runCli(["inspect", path, "--tensors"]);
    const json = runCli(["inspect", path, "--json"]);
    const refused = runCli(["merge", path, ADAPTER, "-o", join(folder, NASTY)]);
    const usage = runCli([NASTY]);
    expect([words.code, json.code, refused.code, usage.code]).toEqual([0, 0, 1, 2]);
    expect(JSON.parse(json.stdout).tensors[0].name).toBe(NASTY);
    expect(words.stdout).toContain("w\\u{1b}[2J\\u{9b}31m\\u{202e}\\u{a}");
    for (const { stdout, stderr } of [words, json, refused, usage]) {
      expect(stdout + stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    }
  });
});

describe("colours", () => {
  const inspect = (env: NodeJS.ProcessEnv) => runCli(["inspect", BASE], { env }).stdout;

  test("follow NO_COLOR and FORCE_COLOR, and are off where nobody looks", () => {
    expect(inspect({ NO_COLOR: undefined })).not.toContain("\u001b");
    expect(inspect({ NO_COLOR: "1" })).not.toContain("\u001b");
    expect(inspect({ NO_COLOR: undefined, FORCE_COLOR: "1" })).toContain("\u001b[1m");
  });
});

describe("a reader of the output that", () => {
  const shell = (script: string) =>
    runCommand(["bash", "-c", `${script}; echo "\${PIPESTATUS[0]}"`, process.execPath, CLI, BASE]);

  test("closes early ends the program quietly", () => {
    const { stdout, stderr } = shell('"$0" "$1" inspect "$2" --tensors | head -n 1');
    expect([stdout, stderr]).toEqual([`model     ${BASE}\n0\n`, ""]);
    const both = shell('"$0" "$1" inspect nowhere 2>&1 | true');
    expect([both.stdout, both.stderr]).toEqual(["1\n", ""]);
  });

  test("has no space gets an error", (context) => {
    context.skip(!existsSync("/dev/full"), "no /dev/full");
    const { stdout, stderr } = shell('"$0" "$1" inspect "$2" > /dev/full');
    expect(stdout).toBe("1\n");
    expect(stderr).toMatch(/^error: standard output: no space left.*\nhint: .*\n$/);
  });
});

describe("progress", () => {
  const noTerminal = works(["script", "-qc", "true", "/dev/null"]) ? undefined : "script is not there";

  test("is drawn on a terminal, within its width, and taken off again", (context) => {
    context.skip(noTerminal !== undefined, noTerminal);
    const out = join(temporaryFolder(), "out");
    const command = [process.execPath, CLI, ...mergeInto(out)].map((word) => `'${word}'`).join(" ");
    const { stdout } = runCommand(["script", "-qec", `stty cols 60; ${command}`, "/dev/null"]);
    const [drawn = "", result = ""] = stdout.split(/\r\u001b\[K(?=adapter)/);
    expect(drawn).toMatch(/\r\u001b\[Kmerging +█/);
    for (const line of drawn.split("\r\u001b[K")) expect(line.length).toBeLessThan(60);
    expect(result).toMatch(/^adapter .*\r\n/);
    expect(result).not.toContain("\u001b[K");
  });

  test("is not drawn on a terminal under --quiet or --json", (context) => {
    context.skip(noTerminal !== undefined, noTerminal);
    for (const flag of ["--quiet", "--json"]) {
      const out = join(temporaryFolder(), "out");
      const command = [process.execPath, CLI, ...mergeInto(out), flag].map((word) => `'${word}'`).join(" ");
      expect(runCommand(["script", "-qec", command, "/dev/null"]).stdout).not.toContain("\u001b[K");
    }
  });
});

function copyOfBase(folder: string): string {
  const base = join(folder, "base");
  mkdirSync(base);
  for (const name of ["config.json", "model.safetensors"])
    writeFileSync(join(base, name), readFileSync(join(BASE, name)));
  return base;
}
