/**
 * Who owns a staging folder, written into its name, so that a later run can tell a dead run's leavings from live work.
 *
 *   .<target>.lora-tool-<host>-<boot>-<pid>-<start>-<random>.tmp   being written
 *   .<target>.lora-tool-<host>-<boot>-<pid>-<start>-<random>.old   what the target was, while it is replaced
 */

import { createHash, randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

export interface StagedName {
  readonly name: string;
  readonly kind: "tmp" | "old";
  /** `elsewhere`: made on another machine that shares the disk; nobody here can tell. */
  readonly owner: "alive" | "dead" | "elsewhere";
}

const PATTERN = /^\.(.+)\.lora-tool-([0-9a-f]{8})-([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]{8}\.(tmp|old)$/;

/** A fresh name for the target's basename; its `.old` twin differs in the ending only. */
export function stageName(target: string): string {
  const { host, boot } = machine();
  const random = randomBytes(4).toString("hex");
  return `.${shorten(target)}.lora-tool-${host}-${boot}-${process.pid}-${startTime(process.pid) ?? 0}-${random}.tmp`;
}

/** Reads a name back; `undefined` for anything that is not a stage of this target. */
export function parseStageName(name: string, target: string): StagedName | undefined {
  const match = PATTERN.exec(name);
  if (match === null || match[1] !== shorten(target)) return undefined;
  const [, , host, boot, pid, start, kind] = match;
  const here = machine();
  const owner =
    host !== here.host
      ? "elsewhere"
      : boot === here.boot && String(startTime(Number(pid)) ?? 0) === start && isRunning(Number(pid))
        ? "alive"
        : "dead";
  return { name, kind: kind as "tmp" | "old", owner };
}

/** Names end at 255 bytes, and the owner takes up to 80 of them. */
function shorten(target: string): string {
  return Buffer.byteLength(target) <= 170 ? target : createHash("sha256").update(target).digest("hex");
}

/** Containers may share a host's name and a disk, but not their process numbers: those are of one namespace. */
function machine(): { readonly host: string; readonly boot: string } {
  const short = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 8);
  return {
    host: short(`${hostname()} ${processNamespace()}`),
    boot: short(readOrEmpty("/proc/sys/kernel/random/boot_id")),
  };
}

function processNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

/** Ticks since boot at which the process started (Linux): tells a reused process number from the old one. */
function startTime(pid: number): string | undefined {
  // The second field is the command in parentheses and may hold anything; count from behind it.
  const fields = readOrEmpty(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ");
  return fields?.[19];
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
