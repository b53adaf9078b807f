/**
 * Rows of embeddings and nothing else, as PEFT saves them: type TRAINABLE_TOKENS, `<embedding>.trainable_tokens_delta` (PEFT
 * 0.21.2 `trainable_tokens/config.py`). Its LoRA needs a target to load.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import { compareCodePoints } from "../../../core/text.ts";
import type { Adapter, TokenRows } from "../../adapter.ts";
import { copyOf } from "../../output/output-tensor.ts";
import { typeSettings, type WrittenTensors } from "./written-type.ts";

/** Whether an adapter without factors is rows alone. */
export function isTokensOnly({ overrides, tokenRows }: Pick<Adapter, "overrides" | "tokenRows">): boolean {
  return overrides.length === 0 && tokenRows.length > 0;
}

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER where embeddings have rows of different tokens: PEFT has one list for all */
export function writeTokens(rows: readonly TokenRows[], baseModel: string | undefined): WrittenTensors {
  const indices = rows[0]?.indices ?? [];
  const other = rows.find((entry) => entry.indices.join() !== indices.join());
  if (other !== undefined) {
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", "PEFT has one list of trainable tokens for all embeddings", {
      subject: other.name,
    });
  }
  const settings = typeSettings("TRAINABLE_TOKENS", baseModel, [
    ["init_weights", true],
    ["target_modules", rows.map(({ name }) => name).sort(compareCodePoints)],
    ["token_indices", indices],
  ]);
  const tensors = rows.map((entry) => copyOf(entry.rows, `base_model.model.${entry.name}.trainable_tokens_delta`));
  return { tensors, settings };
}
