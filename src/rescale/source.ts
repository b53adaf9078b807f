/**
 * The adapter to rescale: what it means, and the text and tensors that the output is made from.
 *
 * Only PEFT's LoRA has two conventions; every other kind is refused with the reason.
 */

import type { Adapter } from "../adapters/adapter.ts";
import { type PeftConfig, readPeftConfig } from "../adapters/layouts/peft/config.ts";
import { patternField, toAlpha, toRank } from "../adapters/layouts/peft/fields.ts";
import type { ScaleSettings } from "../adapters/layouts/peft/write-scales.ts";
import { openAdapter } from "../adapters/open-adapter.ts";
import { UnsupportedError } from "../core/errors.ts";
import { decodeUtf8, parseJsonObject } from "../core/json-parser.ts";
import { MAX_CONFIG_BYTES } from "../core/limits.ts";
import { readSmallFile } from "../formats/byte-source.ts";
import { openSafetensors } from "../formats/safetensors/reader.ts";
import type { FileIdentity, TensorStore } from "../formats/tensor-store.ts";

export interface Source {
  readonly adapter: Adapter;
  /** All tensors of the weights file. */
  readonly store: TensorStore;
  readonly weights: FileIdentity;
  readonly config: PeftConfig;
  /** The part of `config` that changes. */
  readonly settings: ScaleSettings;
  readonly settingsFile: FileIdentity;
  /** adapter_config.json as it is. */
  readonly text: string;
}

/**
 * Opens a PEFT LoRA adapter.
 *
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for other kinds and layouts
 */
export async function openSource(path: string): Promise<Source> {
  const adapter = await openAdapter(path);
  const [weights, settingsFile] = adapter.files;
  if (adapter.layout !== "peft" || weights === undefined || settingsFile === undefined) {
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", `adapters of the ${adapter.layout} layout have one convention`, {
      file: path,
      hint: "lora-tool convert --to peft makes an adapter that can be rescaled",
    });
  }
  const { bytes } = readSmallFile(settingsFile.path, MAX_CONFIG_BYTES);
  const config = readPeftConfig(parseJsonObject(bytes, { file: settingsFile.path }), settingsFile.path);
  if (config.type !== "LORA") {
    const problem = `${adapter.method} has one scale, PEFT reads use_rslora for LoRA only`;
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file: path, subject: "peft_type" });
  }
  return {
    adapter,
    store: openSafetensors(weights.path),
    weights,
    config,
    settings: scaleSettings(config),
    settingsFile,
    text: decodeUtf8(bytes, settingsFile.path),
  };
}

function scaleSettings({ settings, convention, rank, alpha }: PeftConfig): ScaleSettings {
  return {
    convention,
    rank,
    alpha,
    rankPattern: patternField(settings, "rank_pattern", toRank),
    alphaPattern: patternField(settings, "alpha_pattern", toAlpha),
  };
}
