/**
 * Every way the program refuses, as classes by who can fix it.
 *
 * A message reads `<file>: <tensor or flag>: <what is wrong>, expected <x>, got <y>`: lower-case start, no full stop,
 * file-supplied text escaped with `quote`. What to do about it goes into `hint`. Anything that escapes as another class
 * is a bug of lora-tool and is reported as one (exit code 70).
 */

import { constants } from "node:os";
import { escapeText, quote } from "./text.ts";

/** What a program may branch on; the sentence in `message` is for people. */
export type ErrorCode =
  | UsageCode
  | FormatCode
  | UnsupportedCode
  | MismatchCode
  | FileCode
  | "NON_FINITE"
  | "INTERRUPTED"
  | "OUT_OF_MEMORY";

export type UsageCode = "INVALID_OPTION";

export type FormatCode =
  /** The file is something else: a Git-LFS pointer, a web page, a pickle, another format under this name. */
  | "WRONG_FORMAT"
  | "EMPTY_FILE"
  | "HEADER_TOO_LARGE"
  | "HEADER_TRUNCATED"
  | "INVALID_UTF8"
  | "INVALID_JSON"
  | "DUPLICATE_KEY"
  | "INVALID_METADATA"
  | "INVALID_DTYPE"
  | "INVALID_SHAPE"
  | "INVALID_OFFSETS"
  | "DATA_GAP"
  | "DATA_OVERLAP"
  | "SIZE_MISMATCH"
  | "DATA_TRUNCATED"
  | "TRAILING_DATA"
  | "INVALID_INDEX"
  | "INVALID_CONFIG"
  | "INVALID_PATTERN"
  | "INVALID_PROTOBUF"
  | "INVALID_MODEL"
  | "INVALID_EXTERNAL_DATA"
  | "INVALID_ROW"
  | "INVALID_TEMPLATE"
  | "NOTHING_TO_LEARN";

export type UnsupportedCode =
  | "UNSUPPORTED_DTYPE"
  | "UNSUPPORTED_ADAPTER"
  | "UNSUPPORTED_PATTERN"
  | "UNSUPPORTED_FORMAT"
  | "UNSUPPORTED_MODEL"
  | "UNSUPPORTED_OPERATOR"
  | "QUANTIZED_BASE"
  | "DEVICE_UNAVAILABLE";

export type MismatchCode =
  | "ADAPTER_INCOMPLETE"
  | "ADAPTER_MISMATCH"
  | "MODEL_MISMATCH"
  | "RANK_MISMATCH"
  | "NOTHING_CHANGED"
  | "VERIFICATION_FAILED"
  | "PARTS_MISMATCH"
  | "TOKENIZER_MISMATCH"
  | "RESUME_MISMATCH";

export type FileCode =
  | "FILE_NOT_FOUND"
  | "NOT_A_REGULAR_FILE"
  | "PATH_ESCAPE"
  | "OUTPUT_EXISTS"
  | "OUTPUT_BUSY"
  | "SAME_PATH"
  | "INPUT_CHANGED"
  | "DISK_FULL"
  | "PERMISSION_DENIED"
  | "IO_FAILED";

export interface ErrorDetails {
  /** Path of the file as the user gave it or as it was reached from there. */
  readonly file?: string;
  /** Tensor, module, key or flag at fault, unescaped. */
  readonly subject?: string;
  /** The command or change that mends it. */
  readonly hint?: string;
  /** The error of the system underneath. */
  readonly cause?: unknown;
}

export abstract class LoraToolError extends Error {
  readonly code: ErrorCode;
  readonly file: string | undefined;
  readonly subject: string | undefined;
  readonly hint: string | undefined;
  /** What is wrong, without file and subject. */
  readonly problem: string;

  constructor(code: ErrorCode, problem: string, details: ErrorDetails = {}) {
    const file = details.file === undefined ? "" : `${escapeText(details.file)}: `;
    const subject = details.subject === undefined ? "" : `${quote(details.subject)}: `;
    super(`${file}${subject}${problem}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.file = details.file;
    this.subject = details.subject;
    this.hint = details.hint;
    this.problem = problem;
  }
}

/** The call or the flags are wrong, whatever the files hold. Exit code 2; every other class exits with 1. */
export class UsageError extends LoraToolError {
  constructor(problem: string, details?: ErrorDetails) {
    super("INVALID_OPTION", problem, details);
  }
}

/** The file is malformed: whoever made it can fix it. */
export class FormatError extends LoraToolError {
  constructor(code: FormatCode, problem: string, details?: ErrorDetails) {
    super(code, problem, details);
  }
}

/** The file is valid, and this program does not handle what it asks for. */
export class UnsupportedError extends LoraToolError {
  constructor(code: UnsupportedCode, problem: string, details?: ErrorDetails) {
    super(code, problem, details);
  }
}

/** Files that are each valid do not fit together. All misfits are collected before it is thrown. */
export class MismatchError extends LoraToolError {
  /** One finished line each, already escaped. */
  readonly problems: readonly string[];

  constructor(code: MismatchCode, summary: string, problems: readonly string[], details?: ErrorDetails) {
    const shown = problems.slice(0, 20).map((line) => `\n  ${line}`);
    const more = problems.length > 20 ? `\n  and ${problems.length - 20} more` : "";
    super(code, `${summary}${shown.join("")}${more}`, details);
    this.problems = problems;
  }
}

/** The operating system, the disk or the path stands in the way. `cause` keeps Node's error. */
export class FileError extends LoraToolError {
  constructor(code: FileCode, problem: string, details?: ErrorDetails) {
    super(code, problem, details);
  }
}

/** A number that must be finite is not. */
export class NonFiniteError extends LoraToolError {
  constructor(problem: string, details?: ErrorDetails) {
    super("NON_FINITE", problem, details);
  }
}

/** The caller's signal asked to stop; exit code 130. */
export class InterruptedError extends LoraToolError {
  constructor(hint?: string) {
    super("INTERRUPTED", "interrupted", hint === undefined ? {} : { hint });
  }
}

/** Memory ran out: a smaller setting may do. */
export class MemoryError extends LoraToolError {
  constructor(problem: string, details?: ErrorDetails) {
    super("OUT_OF_MEMORY", problem, details);
  }
}

/** A typed error from whatever the file system threw; errors of this program pass through unchanged. */
export function toFileError(error: unknown, file: string): LoraToolError {
  if (error instanceof LoraToolError) return error;
  const systemCode = systemCodeOf(error);
  const code = SYSTEM_CODES.get(systemCode) ?? "IO_FAILED";
  const text = SYSTEM_TEXTS[code] ?? (error instanceof Error ? escapeText(error.message) : String(error));
  const hint = SYSTEM_HINTS.get(systemCode);
  return new FileError(code, text, { file, cause: error, ...(hint !== undefined && { hint }) });
}

/** Node names only some of the system's errors; of others, a full quota among them, it gives the number. */
function systemCodeOf(error: unknown): string {
  const { code = "", errno } = (error ?? {}) as NodeJS.ErrnoException;
  if (code !== "UNKNOWN" || errno === undefined) return code;
  return Object.entries(constants.errno).find(([, number]) => number === -errno)?.[0] ?? code;
}

const SYSTEM_CODES: ReadonlyMap<string, FileCode> = new Map([
  ["ENOENT", "FILE_NOT_FOUND"],
  ["ENOTDIR", "FILE_NOT_FOUND"],
  ["EISDIR", "NOT_A_REGULAR_FILE"],
  ["ELOOP", "NOT_A_REGULAR_FILE"],
  ["ENXIO", "NOT_A_REGULAR_FILE"],
  ["EACCES", "PERMISSION_DENIED"],
  ["EPERM", "PERMISSION_DENIED"],
  ["EROFS", "PERMISSION_DENIED"],
  ["ENOSPC", "DISK_FULL"],
  ["EDQUOT", "DISK_FULL"],
  ["EFBIG", "DISK_FULL"],
]);

const FREE_SPACE = "free some space, or write to another disk";
const CHECK_RIGHTS = "check who may use the file and the folder around it";
const RAISE_LIMIT = "raise the limit of open files: ulimit -n 4096";

const SYSTEM_HINTS: ReadonlyMap<string, string> = new Map([
  ["ENOENT", "check the path"],
  ["ENOTDIR", "check the path"],
  ["EACCES", CHECK_RIGHTS],
  ["EPERM", CHECK_RIGHTS],
  ["EROFS", "write to another disk, or mount this one for writing"],
  ["ENOSPC", FREE_SPACE],
  ["EDQUOT", FREE_SPACE],
  ["EFBIG", "raise the limit on the size of files (ulimit -f), or pass --max-shard-size"],
  ["EMFILE", RAISE_LIMIT],
  ["ENFILE", RAISE_LIMIT],
  ["EIO", "the disk reports an error: look into the system's log"],
]);

const SYSTEM_TEXTS: Partial<Record<FileCode, string>> = {
  FILE_NOT_FOUND: "no such file or folder",
  NOT_A_REGULAR_FILE: "not a regular file",
  PERMISSION_DENIED: "no permission, or the file system is read-only",
  DISK_FULL: "no space left: the disk, quota or file-size limit is reached",
};
