/** Signals, a second run, changing inputs and failing threads: what happens around a merge while it runs. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { merge } from "lora-tool";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { errorOfBuilt } from "../support/errors.ts";
import { CLI, runCli, underStrace, whyNoStrace } from "../support/process.js";
import { createWorkspace, inputsOf, leftoversOf, outputOf, type Workspace } from "./workspace.js";

const noStrace = whyNoStrace();
const folder = mkdtempSync(join(tmpdir(), "lora-tool-test-"));
let workspace: Workspace;

beforeAll(async () => {
  workspace = await createWorkspace(folder);
});
beforeEach(() => workspace.placeOld());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const overOld = () => [...workspace.args, "--overwrite"];

function expectUntouched(): void {
  expect(leftoversOf(workspace)).toEqual([]);
  expect(outputOf(workspace)).toBe(workspace.old);
  expect(inputsOf(workspace)).toBe(workspace.inputs);
}

describe("a signal", () => {
  test.each([
    ["SIGINT", 1],
    ["SIGTERM", 20],
    ["SIGHUP", 45],
  ])("%s in the middle ends the merge with 130 and leaves nothing of it", (signal, when) => {
    const { code, stdout, stderr } = runCli(overOld(), {
      prefix: underStrace([`pwrite64:signal=${signal}:when=${when}`]),
    });
    expect([code, stdout, stderr]).toEqual([130, "", "error: interrupted\n"]);
    expectUntouched();
  });

  test("that comes at the very end comes too late or stops the merge, and nothing between", () => {
    const ended = runCli(overOld(), { prefix: underStrace(["rename:signal=SIGINT:when=1"]) });
    expect(ended.code).toBe(0);
    expect(outputOf(workspace)).toBe(workspace.golden);
    workspace.placeOld();
    const codes = [1, 7, 12].map((when) => {
      workspace.placeOld();
      const { code } = runCli(overOld(), { prefix: underStrace([`fsync:signal=SIGINT:when=${when}`]) });
      expect(outputOf(workspace)).toBe(code === 130 ? workspace.old : workspace.golden);
      expect(leftoversOf(workspace)).toEqual([]);
      return code;
    });
    expect(codes).toContain(130);
  });

  test("that comes twice ends the program at once; the next run clears up", () => {
    const { code } = runCli(overOld(), { prefix: underStrace(["pwrite64:signal=SIGINT:when=5+1"]) });
    // It dies of the signal, which a shell shows as 130; strace reports either.
    expect([130, null]).toContain(code);
    expect(outputOf(workspace)).toBe(workspace.old);
    expect(runCli(overOld()).code).toBe(0);
    expect(outputOf(workspace)).toBe(workspace.golden);
    expect(leftoversOf(workspace)).toEqual([]);
  });

  beforeEach((context) => context.skip(noStrace !== undefined, noStrace));
});

test("a signal from the caller stops a merge within two seconds", async () => {
  const controller = new AbortController();
  let asked = 0;
  const { base, adapter, out } = workspace;
  const onProgress = () => {
    asked ||= performance.now();
    controller.abort();
  };
  const options = { base, adapters: [{ path: adapter }], out, overwrite: true, signal: controller.signal, onProgress };
  expect((await errorOfBuilt(() => merge(options))).code).toBe("INTERRUPTED");
  expect(performance.now() - asked).toBeLessThan(2000);
  expectUntouched();
});

test("a second run on the same output is refused while the first is alive, and not when it is dead", async () => {
  const output = pathToFileURL(join(CLI, "../../dist/formats/output.js"));
  const script = `const { stageOutput } = await import("${output}");
    stageOutput(process.argv[1], { kind: "folder", overwrite: true, inputs: [] });
    console.log("staged"); setInterval(() => {}, 1000);`;
  const first = spawn(process.execPath, ["--input-type=module", "-e", script, workspace.out]);
  await once(first.stdout, "data");
  const refused = runCli(overOld());
  expect(refused.stderr).toMatch(/^error: .*out: another run is writing it\nhint: wait for it, or stop it\n$/);
  expect(refused.code).toBe(1);
  expect(outputOf(workspace)).toBe(workspace.old);
  first.kill("SIGKILL");
  await once(first, "exit");
  expect(runCli(overOld()).code).toBe(0);
  expect(outputOf(workspace)).toBe(workspace.golden);
  expect(leftoversOf(workspace)).toEqual([]);
});

describe("an input that changes while it is used", () => {
  const shard = () => join(workspace.base, "model-00003-of-00004.safetensors");
  const keep = () => join(folder, "keep");

  test.each<[string, () => void]>([
    ["grows", () => appendFileSync(shard(), "x")],
    ["is cut short", () => truncateSync(shard(), 100_000)],
    ["is written in place", () => writeFileSync(shard(), Buffer.alloc(1), { flag: "r+" })],
    ["is touched", () => utimesSync(shard(), 1, 1)],
    ["is replaced by a copy of itself", () => renameSync(copyOf(shard()), shard())],
    ["vanishes", () => rmSync(shard())],
  ])("is noticed when it %s", async (what, change) => {
    copyFileSync(shard(), keep());
    let changed = false;
    const onProgress = () => {
      if (!changed) change();
      changed = true;
    };
    try {
      const { base, adapter, out } = workspace;
      const options = { base, adapters: [{ path: adapter }], out, overwrite: true, workers: 1, onProgress };
      const error = await errorOfBuilt(() => merge(options));
      const code = what === "vanishes" ? "FILE_NOT_FOUND" : "INPUT_CHANGED";
      expect([error.name, error.code, error.file]).toEqual(["FileError", code, shard()]);
    } finally {
      renameSync(keep(), shard());
    }
    expectUntouched();
  });

  function copyOf(path: string): string {
    copyFileSync(path, `${path}.copy`);
    return `${path}.copy`;
  }
});

describe("a worker thread that", () => {
  /** A merge with this environment has workers that do something else instead of giving their third answer. */
  const sick = (act: string) => {
    const path = join(folder, "sick.mjs");
    writeFileSync(
      path,
      `import { isMainThread, parentPort } from "node:worker_threads";
      if (!isMainThread) {
        const answer = parentPort.postMessage.bind(parentPort);
        let answers = 0;
        parentPort.postMessage = (message) => {
          if (++answers < 3) answer(message);
          else setImmediate(() => { ${act} });
        };
      }`,
    );
    return { NODE_OPTIONS: `--import ${pathToFileURL(path)}` };
  };

  test.each([
    ["exits", "process.exit(3)", 70, /a worker thread ended with code 3/],
    ["throws", 'throw new Error("sick")', 70, /bug in lora-tool: Error: sick/],
    ["rejects a promise", 'Promise.reject(new Error("sick"))', 70, /bug in lora-tool: Error: sick/],
    [
      "needs a buffer that nobody has",
      "new ArrayBuffer(2 ** 52)",
      1,
      /^error: the system gives no more memory\nhint: use fewer --workers/,
    ],
  ])("%s ends the merge and is not waited for", (_, act, code, message) => {
    const ended = runCli(overOld(), { env: sick(act) });
    expect(ended.stderr).toMatch(message);
    expect(ended.code).toBe(code);
    expect(ended.seconds).toBeLessThan(20);
    expectUntouched();
  });

  test("is at work when the merge is stopped may finish: ended inside the engine, it would abort the process", () => {
    const log = join(folder, "log");
    const note = (text: string) => `process.getBuiltinModule("fs").appendFileSync("${log}", "${text}");`;
    const late = `${note("[")} process.kill(process.pid, "SIGINT"); setTimeout(() => { ${note("]")} answer(message); }, 300)`;
    const { code, stderr } = runCli(overOld(), { env: sick(late) });
    expect([code, stderr]).toEqual([130, "error: interrupted\n"]);
    expect(readFileSync(log, "utf8")).toBe("[]");
    expectUntouched();
  });

  test("fills its heap ends the merge with a hint", () => {
    const env = sick("for (const all = [];;) all.push(new Array(1e5).fill(all))");
    const ended = runCli(overOld(), { env: { NODE_OPTIONS: `${env.NODE_OPTIONS} --max-old-space-size=64` } });
    expect(ended.stderr).toMatch(/^error: a worker thread ran out of memory\nhint: use fewer --workers\n$/);
    expect(ended.code).toBe(1);
    expectUntouched();
  });
});
