import { LoraToolError as BuiltError } from "lora-tool";
import { LoraToolError } from "../../src/core/errors.ts";

/** The typed error that a call into the sources throws; anything else fails the test. */
export async function errorOf(act: () => unknown): Promise<LoraToolError> {
  return catchError(act, LoraToolError);
}

/** The same for a call into the built package, whose classes are others. */
export async function errorOfBuilt(act: () => unknown): Promise<BuiltError> {
  return catchError(act, BuiltError);
}

async function catchError<E extends Error>(act: () => unknown, type: abstract new (...args: never[]) => E): Promise<E> {
  try {
    await act();
  } catch (error) {
    if (error instanceof type) return error;
    throw error;
  }
  throw new Error("expected an error, the call succeeded");
}
