/**
 * What is written into a stage → its target, or nothing: the stage goes when anything fails on the way.
 */

import { assertUnchanged } from "./byte-source.ts";
import type { FileIdentity } from "./tensor-store.ts";

interface Stage {
  publish(signal?: AbortSignal): Promise<void>;
  discard(): void;
}

export interface PublishOptions {
  /** Files that `write` reads: they must be the same afterwards. */
  readonly inputs: readonly FileIdentity[];
  /** Counts until the first rename. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * @param write fills the stage
 * @returns what `write` returns, once the target is complete and durable
 * @throws what `write` throws; {FileError} INPUT_CHANGED; {InterruptedError}
 */
export async function publishStage<Result>(
  stage: Stage,
  { inputs, signal }: PublishOptions,
  write: () => Result | Promise<Result>,
): Promise<Result> {
  try {
    const result = await write();
    for (const file of inputs) assertUnchanged(file);
    await stage.publish(signal);
    return result;
  } catch (error) {
    stage.discard();
    throw error;
  }
}
