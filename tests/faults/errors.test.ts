/** What the system refuses, at one place after the other: a typed error, the old output, and no rest of the new one. */

import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Ended, runCli, underStrace, whyNoStrace, works } from "../support/process.js";
import { createWorkspace, inputsOf, leftoversOf, outputOf, type Workspace } from "./workspace.js";

const noStrace = whyNoStrace();
const MOUNTS =
  ["-m", "-rm"]
    .map((flags) => ["unshare", flags])
    .find((unshare) => works([...unshare, "mount", "-t", "tmpfs", "none", "/mnt"])) ?? [];
const noMounts = MOUNTS.length > 0 ? undefined : "may not mount";
const OTHER_USER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
const noOtherUser = works([...OTHER_USER, process.execPath, "--version"]) ? undefined : "may not become another user";
const noLimits = works(["prlimit", "--fsize=1000000", "true"]) ? undefined : "prlimit is not there";

const folder = mkdtempSync(join(tmpdir(), "lora-tool-test-"));
let workspace: Workspace;

beforeAll(async () => {
  workspace = await createWorkspace(folder);
});
beforeEach(() => workspace.placeOld());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const overOld = () => [...workspace.args, "--overwrite"];

/** One line with the cause, one with what to do, and nothing on disk that the run has changed. */
function expectRefusal({ code, stdout, stderr }: Ended, message: RegExp): void {
  expect(stderr).toMatch(/^error: [^\n]+\nhint: [^\n]+\n$/);
  expect(stderr).toMatch(message);
  expect(stdout).toBe("");
  expect(code).toBe(1);
  expect(leftoversOf(workspace)).toEqual([]);
  expect(outputOf(workspace)).toBe(workspace.old);
  expect(inputsOf(workspace)).toBe(workspace.inputs);
}

describe("a merge over an old output is refused by", () => {
  test.each([
    ["no space for a tensor", "pwrite64:error=ENOSPC:when=5", /no space left/],
    ["no space from some point on", "pwrite64:error=ENOSPC:when=30+", /no space left/],
    ["an exhausted quota", "pwrite64:error=EDQUOT:when=9", /no space left/],
    ["a disk that fails while writing", "pwrite64:error=EIO:when=20", /EIO/],
    ["a disk that fails while syncing", "fsync:error=EIO:when=1", /EIO/],
    ["no space while syncing", "fsync:error=ENOSPC:when=3", /no space left/],
    ["a folder that takes no more entries", "mkdir:error=ENOSPC:when=1+", /no space left/],
    ["an old output that cannot step aside", "rename:error=EIO:when=1", /EIO/],
    ["a new output that cannot take its place", "rename:error=EIO:when=2", /EIO/],
  ])("%s", (_, fault, message) => {
    expectRefusal(runCli(overOld(), { prefix: underStrace([fault]) }), message);
  });

  test.each([
    ["a folder around it that cannot be synced", "fsync:error=EIO:when=1", () => dirname(workspace.out), /EIO/],
    [
      "a base that cannot be read",
      "pread64:error=EIO:when=3",
      () => join(workspace.base, "model-00002-of-00004.safetensors"),
      /00002.*EIO/,
    ],
    [
      "an adapter that cannot be read",
      "pread64:error=EIO:when=4",
      () => join(workspace.adapter, "adapter_model.safetensors"),
      /adapter_model.*EIO/,
    ],
    [
      "a base that may not be opened",
      "openat:error=EACCES:when=1",
      () => join(workspace.base, "model-00003-of-00004.safetensors"),
      /00003.*no permission/,
    ],
    [
      "too many open files",
      "openat:error=EMFILE:when=2",
      () => join(workspace.base, "model-00003-of-00004.safetensors"),
      /00003.*too many open files.*\n.*ulimit -n/,
    ],
    [
      "a config that cannot be read",
      "pread64:error=EIO:when=1",
      () => join(workspace.base, "config.json"),
      /config\.json.*EIO/,
    ],
  ])("%s", (_, fault, path, message) => {
    expectRefusal(runCli(overOld(), { prefix: underStrace([fault], { paths: [path()] }) }), message);
  });

  beforeEach((context) => context.skip(noStrace !== undefined, noStrace));
});

test("calls that the system only wants repeated are repeated", (context) => {
  context.skip(noStrace !== undefined, noStrace);
  for (const error of ["EINTR", "EAGAIN"]) {
    const shard = join(workspace.base, "model-00002-of-00004.safetensors");
    const reading = underStrace([`pread64:error=${error}:when=2+3`], { paths: [shard] });
    for (const prefix of [underStrace([`pwrite64:error=${error}:when=3+7`]), reading]) {
      const { code, stderr } = runCli(overOld(), { prefix });
      expect([code, stderr]).toEqual([0, ""]);
      expect(outputOf(workspace)).toBe(workspace.golden);
    }
  }
});

test("a disk that is too small is refused, whatever its size; one that is large enough is not", (context) => {
  context.skip(noMounts !== undefined, noMounts);
  const disk = join(folder, "disk");
  mkdirSync(disk);
  const { base, adapter } = workspace;
  let done = 0;
  for (const kilobytes of [4, 64, 600, 1028, 1040, 1056, 1080, 1400]) {
    const script = `mount -t tmpfs -o size=${kilobytes}k none "$0" && "$@"; code=$?; ls -A "$0"; exit $code`;
    const args = ["merge", base, adapter, "-o", join(disk, "out"), "--workers", "1", "--quiet", "--json"];
    const { code, stdout, stderr } = runCli(args, { prefix: [...MOUNTS, "sh", "-c", script, disk] });
    if (code === 0) done++;
    else {
      expect(code, `${kilobytes} kB`).toBe(1);
      expect(JSON.parse(stderr)).toMatchObject({ code: "DISK_FULL", hint: expect.any(String) });
      expect(stdout, "what is left on the disk").toBe("");
    }
  }
  expect(done).toBeGreaterThanOrEqual(1);
  expect(done).toBeLessThan(5);
});

test("a limit on the size of files, met by a short write, is an error", (context) => {
  context.skip(noLimits !== undefined, noLimits);
  expectRefusal(runCli(overOld(), { prefix: ["prlimit", "--fsize=100000"] }), /file-size limit.*\n.*ulimit -f/);
});

test("a folder that may only be read is refused before anything is computed", (context) => {
  context.skip(noMounts !== undefined, noMounts);
  const around = dirname(workspace.out);
  const script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"';
  expectRefusal(runCli(overOld(), { prefix: [...MOUNTS, "sh", "-c", script, around] }), /read-only/);
});

test("a folder of another user is refused", (context) => {
  context.skip(noOtherUser !== undefined, noOtherUser);
  chmodSync(folder, 0o755);
  expectRefusal(runCli(overOld(), { prefix: OTHER_USER }), /no permission/);
});

test("inputs that may only be read make an output that may be written", (context) => {
  context.skip(noOtherUser !== undefined, noOtherUser);
  chmodSync(folder, 0o755);
  for (const name of readdirSync(workspace.base)) chmodSync(join(workspace.base, name), 0o444);
  const own = join(folder, "own");
  mkdirSync(own);
  chownSync(own, 65534, 65534);
  const { base, adapter } = workspace;
  const { code, stderr } = runCli(["merge", base, adapter, "-o", join(own, "out")], { prefix: OTHER_USER });
  expect([code, stderr]).toEqual([0, ""]);
  for (const name of readdirSync(join(own, "out"))) {
    expect(statSync(join(own, "out", name)).mode & 0o200, name).toBe(0o200);
  }
});

test("few open files are enough", () => {
  const { code, stderr } = runCli(overOld(), { prefix: ["sh", "-c", 'ulimit -n 128; exec "$@"', "sh"] });
  expect([code, stderr]).toEqual([0, ""]);
  expect(outputOf(workspace)).toBe(workspace.golden);
});
