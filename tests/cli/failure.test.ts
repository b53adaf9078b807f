import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { reportFailure } from "../../src/cli/failure.ts";
import { InterruptedError, MismatchError, UsageError } from "../../src/core/errors.ts";

/** What is printed for an error, and the exit code. */
function report(error: unknown, json = false): { code: number; text: string } {
  const stderr = new PassThrough({ encoding: "utf8" });
  const io = { stdout: new PassThrough(), stderr, interactive: false, signal: new AbortController().signal };
  const code = reportFailure(error, io, json);
  return { code, text: String(stderr.read() ?? "") };
}

/** An error as Node's file functions throw it. */
function systemError(code: string, path?: string): Error {
  return Object.assign(new Error(`${code}: something, open`), { code, path });
}

describe("an error that escapes", () => {
  test("is reported as a bug with its stack and exits with 70", () => {
    const { code, text } = report(new TypeError("x is not a function"));
    expect(code).toBe(70);
    expect(text).toMatch(/^bug in lora-tool: TypeError: x is not a function\n {4}at /);
    expect(text).toMatch(/\nplease report it with the command that you ran\n$/);
    expect(JSON.parse(report(new TypeError("no"), true).text)).toMatchObject({ code: "BUG" });
    expect(report("thrown text").text).toContain("bug in lora-tool: thrown text");
  });

  test("cannot steer the terminal", () => {
    expect(report(new Error("\u001b[2J\u009b")).text).not.toMatch(/[\u001b\u009b]/);
    expect(report(new Error("\u001b[2J\u009b"), true).text).not.toMatch(/[\u001b\u009b]/);
  });

  test.each([
    [systemError("EMFILE", "/some/module.js"), /^error: \/some\/module\.js: .*\nhint: .*ulimit -n/],
    [systemError("ENOSPC", "/out"), /^error: \/out: no space left.*\nhint: /],
    [systemError("EIO"), /^error: system: EIO.*\nhint: .*log/],
    [systemError("ENOMEM"), /^error: the system gives no more memory\nhint: /],
    [
      new RangeError("Array buffer allocation failed"),
      /^error: the system gives no more memory\nhint: use fewer --workers/,
    ],
  ])("is no bug when the system has run out of something: %s", (error, message) => {
    const { code, text } = report(error);
    expect(text).toMatch(message);
    expect(code).toBe(1);
  });

  test("is a bug when a file is missing that should be there", () => {
    expect(report(systemError("ENOENT", "/dist/lost.js")).code).toBe(70);
    expect(report(new RangeError("Maximum call stack size exceeded")).code).toBe(70);
  });
});

describe("exit codes", () => {
  test("are 2 for wrong usage, 1 for wrong files, 130 for an interruption", () => {
    expect(report(new UsageError("no")).code).toBe(2);
    expect(report(new MismatchError("RANK_MISMATCH", "no", [])).code).toBe(1);
    expect(report(new InterruptedError())).toEqual({ code: 130, text: "error: interrupted\n" });
  });
});
