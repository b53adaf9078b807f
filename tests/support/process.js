// @ts-check
/**
 * Runs the built command line as a user would, plain or under strace, and tells how it ended.
 */

import { spawnSync } from "node:child_process";
import { join } from "node:path";

export const CLI = join(import.meta.dirname, "../../bin/lora-tool.js");

/**
 * @typedef {object} Ended
 * @property {number | null} code exit code, `null` when a signal ended it
 * @property {NodeJS.Signals | null} signal
 * @property {string} stdout
 * @property {string} stderr
 * @property {number} seconds
 */

/**
 * Runs a command line to its end.
 *
 * @param {readonly string[]} command
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, timeout?: number }} [options]
 * @returns {Ended}
 */
export function runCommand([file = "", ...args], { env = {}, cwd, timeout = 60_000 } = {}) {
  const started = performance.now();
  const { status, signal, stdout, stderr, error } = spawnSync(file, args, {
    encoding: "utf8",
    // One thread for file work keeps the order of system calls; colours and CI settings of the caller must not matter.
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: undefined, CI: undefined, UV_THREADPOOL_SIZE: "1", ...env },
    ...(cwd !== undefined && { cwd }),
    timeout,
    killSignal: "SIGKILL",
    maxBuffer: 2 ** 28,
  });
  if (error !== undefined && status === null && signal === null) throw error;
  return { code: status, signal, stdout, stderr, seconds: (performance.now() - started) / 1000 };
}

/**
 * `lora-tool …`, with the words of another command in front where one is given.
 *
 * @param {readonly string[]} args
 * @param {Parameters<typeof runCommand>[1] & { prefix?: readonly string[] }} [options]
 */
export function runCli(args, { prefix = [], ...options } = {}) {
  return runCommand([...prefix, process.execPath, CLI, ...args], options);
}

/**
 * Words that run a command under strace with these faults, e.g. `["pwrite64:error=ENOSPC:when=3"]`.
 *
 * @param {readonly string[]} faults
 * @param {{ log?: string, paths?: readonly string[] }} [options] `paths`: only calls that concern these files
 */
export function underStrace(faults, { log = "/dev/null", paths = [] } = {}) {
  const calls = [...new Set(faults.map((fault) => fault.split(":")[0]))].join(",");
  return [
    ...["strace", "-f", "-qq", "-y", "-s", "0", "-o", log, "-e", `trace=${calls}`],
    ...faults.flatMap((fault) => ["-e", `inject=${fault}`]),
    ...paths.flatMap((path) => ["-P", path]),
  ];
}

/** @param {readonly string[]} command */
export function works(command) {
  try {
    return runCommand(command).code === 0;
  } catch {
    return false;
  }
}

/** Why faults cannot be injected here, or `undefined` when they can. */
export function whyNoStrace() {
  if (process.platform !== "linux") return "strace exists on Linux only";
  if (works([...underStrace(["mkdir:error=EIO"]), "true"])) return undefined;
  return "strace is not installed, or may not trace";
}
