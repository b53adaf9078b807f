/**
 * Which rows of which embedding an adapter replaces (`trainable_token_indices` of LoRA, `token_indices` of the type
 * TRAINABLE_TOKENS).
 */

import { FormatError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/json.ts";
import { type Settings, toIndices } from "./fields.ts";
import type { PeftType } from "./unsupported.ts";

export interface TokenIndices {
  /** The rows of a module in the order of the tensor; `undefined` when the settings name none for it. */
  readonly of: (module: string) => readonly number[] | undefined;
}

/** A list holds for the one embedding in the file; an object for the modules whose names end in its keys. */
export function readTokenIndices(settings: Settings, type: PeftType): TokenIndices | undefined {
  const key = type === "TRAINABLE_TOKENS" ? "token_indices" : "trainable_token_indices";
  const value = settings.values.get(key) ?? undefined;
  if (value === undefined) return undefined;
  if (!(value instanceof Map)) {
    const indices = distinct(settings, key, toIndices(settings, key, value));
    return { of: () => indices };
  }
  const byModule = Array.from(value as JsonObject, ([module, entry]) => {
    const subject = `${key}.${module}`;
    return [module, distinct(settings, subject, toIndices(settings, subject, entry))] as const;
  });
  return { of: (module) => byModule.find(([end]) => module.endsWith(end))?.[1] };
}

/** Two rows for one token have no defined result in PEFT. */
function distinct(settings: Settings, key: string, indices: readonly number[]): readonly number[] {
  if (new Set(indices).size !== indices.length) {
    throw new FormatError("INVALID_CONFIG", "expected each token once, got one twice", {
      file: settings.file,
      subject: key,
    });
  }
  return indices;
}
