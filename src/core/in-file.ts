/**
 * Names the file in errors of code that works on what came out of one without knowing which.
 */

import { type FormatCode, FormatError, type UnsupportedCode, UnsupportedError } from "./errors.ts";

/** The result of `run`; what it throws names the file, unless it names one already. */
export function inFile<Result>(file: string, run: () => Result): Result {
  try {
    return run();
  } catch (error) {
    throw withFile(error, file);
  }
}

function withFile(error: unknown, file: string): unknown {
  if (!(error instanceof FormatError || error instanceof UnsupportedError) || error.file !== undefined) return error;
  const { code, problem, subject, hint, cause } = error;
  const details = { file, cause, ...(subject !== undefined && { subject }), ...(hint !== undefined && { hint }) };
  if (error instanceof FormatError) return new FormatError(code as FormatCode, problem, details);
  return new UnsupportedError(code as UnsupportedCode, problem, details);
}
