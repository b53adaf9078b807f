/**
 * What a caller may ask of `convert`.
 */

import { EXPERT_ORDERS, type ExpertOrder } from "../adapters/adapter.ts";
import { type OptionKinds, RUN_OPTION_KINDS } from "../core/option-kinds.ts";
import type { RunOptions } from "../core/progress.ts";

/** Layouts of adapters, and containers of models. */
export const CONVERT_TARGETS = [
  "peft",
  "kohya",
  "diffusers",
  "mlx",
  "gguf",
  "onnx-adapter",
  "onnx",
  "safetensors",
] as const;
export type ConvertTarget = (typeof CONVERT_TARGETS)[number];

export interface ConvertOptions extends RunOptions {
  /** An adapter of any layout or a model: a folder or a file. */
  readonly input: string;
  readonly to: ConvertTarget;
  /** The model that the adapter is for: a folder or a file, for names and orders that the adapter does not tell. */
  readonly base?: string | undefined;
  /** Order of the stacked experts in `up`, where PEFT did not write it. */
  readonly expertOrder?: ExpertOrder | undefined;
  /** Of a model: refer to the weights where they are instead of copying them. */
  readonly link?: boolean | undefined;
  /** The folder or file to write. */
  readonly out: string;
  readonly overwrite?: boolean | undefined;
  /** Plan only. */
  readonly dryRun?: boolean | undefined;
}

export const CONVERT_OPTION_KINDS: OptionKinds<ConvertOptions> = {
  ...RUN_OPTION_KINDS,
  input: "required a text",
  to: { required: CONVERT_TARGETS },
  base: "a text",
  expertOrder: EXPERT_ORDERS,
  link: "true or false",
  out: "required a text",
  overwrite: "true or false",
  dryRun: "true or false",
};
