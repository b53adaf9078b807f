/**
 * Typed errors across threads: structured clone keeps an Error's text but not its class.
 */

import * as errors from "../core/errors.ts";

export interface PackedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly fields: Partial<Pick<errors.LoraToolError, "code" | "file" | "subject" | "hint">>;
}

const CLASSES = [
  errors.UsageError,
  errors.FormatError,
  errors.UnsupportedError,
  errors.MismatchError,
  errors.FileError,
  errors.NonFiniteError,
  errors.MemoryError,
  errors.InterruptedError,
] as const;

/** What a worker sends of an error; a full heap or buffer becomes a `MemoryError`. */
export function packError(thrown: unknown): PackedError {
  const error = isAllocationFailure(thrown) ? outOfMemory(thrown) : thrown;
  if (error instanceof errors.LoraToolError) {
    const { name, message, stack, code, file, subject, hint } = error;
    const fields = { code, ...(file && { file }), ...(subject && { subject }), ...(hint && { hint }) };
    return { name, message, stack, fields };
  }
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  return { name, message, stack, fields: {} };
}

/** The error as the worker threw it. */
export function unpackError({ name, message, stack, fields }: PackedError): Error {
  const error = Object.assign(new Error(message), { name, ...fields });
  if (stack !== undefined) error.stack = stack;
  const prototype = CLASSES.find((candidate) => candidate.name === name)?.prototype;
  return prototype === undefined ? error : Object.setPrototypeOf(error, prototype);
}

/** V8 throws a RangeError where an array does not fit. */
export function isAllocationFailure(thrown: unknown): boolean {
  return thrown instanceof RangeError && /allocation failed|invalid typed array length/i.test(thrown.message);
}

function outOfMemory(cause: unknown): errors.MemoryError {
  return new errors.MemoryError("a buffer could not be allocated", {
    cause,
    hint: "use fewer --workers, or give the process more memory",
  });
}
