/**
 * What a tensor of a PEFT file is, from its name alone (PEFT 0.21.2 `save_and_load.py`, and raw state dicts).
 *
 * `base_model.model.` + path of the module + what it is. Inside the path: `base_layer` (a wrapped module), `token_adapter`,
 * `modules_to_save.<adapter>`, `ln_tuning_layers` with the adapter in raw state dicts only; after the factor's name: the name
 * of the adapter, in raw state dicts only.
 */

import { PRODUCT_FACTORS } from "../product-factors.ts";

/** Names of factors as PEFT writes them; `lora_B.bias` is the bias of `lora_B`. */
const FACTORS = [
  "lora_A",
  "lora_B",
  "lora_B.bias",
  "lora_embedding_A",
  "lora_embedding_B",
  "lora_magnitude_vector",
  "lora_E",
  "ranknum",
  ...PRODUCT_FACTORS,
  "ia3_l",
  "vera_lambda_b",
  "vera_lambda_d",
] as const;
export type Factor = (typeof FACTORS)[number];

/** Factors that all modules share (VeRA), under `base_model.` itself. */
const SHARED_FACTORS = ["vera_A", "vera_B"] as const;
export type SharedFactor = (typeof SHARED_FACTORS)[number];

/** Where a factor belongs. */
export interface ModulePlace {
  /** Path of the adapted module, wrappers taken out. */
  readonly module: string;
  /** How many wrappers stand between: `experts.base_layer.lora_A` is 1 deep, the second parameter of one module. */
  readonly depth: number;
  /** The module that the config's patterns see: for the `out_proj` inside a MultiheadAttention, the attention. */
  readonly owner: string;
}

export type KeyMeaning =
  | {
      readonly kind: "factor";
      readonly place: ModulePlace;
      readonly factor: Factor;
      readonly adapter: string | undefined;
    }
  /** A parameter of the base: `wrapped` when it stood under an adapter (`q_proj.base_layer.bias`). */
  | {
      readonly kind: "parameter";
      readonly module: string;
      readonly parameter: string;
      readonly wrapped: boolean;
      readonly adapter: string | undefined;
    }
  | { readonly kind: "shared"; readonly factor: SharedFactor; readonly adapter: string | undefined }
  | { readonly kind: "token-rows"; readonly module: string; readonly adapter: string | undefined }
  /** No part in the model: a copy of the base, or what only training used. */
  | { readonly kind: "spent"; readonly why: "copy" | "training" }
  | { readonly kind: "unknown" };

/** Reads the name of one tensor. */
export function readKey(name: string): KeyMeaning {
  const segments = name
    .split(".")
    .filter((segment) => !WRAPPERS.has(segment))
    .join(".")
    .replace(/^(?:(?:module\.)*base_model\.model\.)/, "")
    .split(".");
  if (segments.includes("original_module") || segments.includes("trainable_tokens_original")) {
    return { kind: "spent", why: "copy" };
  }
  if (segments.some((segment) => TRAINING_STATE.has(segment))) return { kind: "spent", why: "training" };
  const at = segments.findLastIndex((segment) => FACTOR_SEGMENTS.has(segment));
  if (at >= 0) return readFactor(segments.slice(0, at), segments[at] ?? "", segments.slice(at + 1));
  const shared = readShared(name);
  if (shared !== undefined) return shared;
  if (segments.some((segment) => ADAPTER_LIKE.test(segment))) return { kind: "unknown" };
  return readParameter(segments);
}

function readFactor(path: readonly string[], segment: string, rest: readonly string[]): KeyMeaning {
  const ending = rest.at(-1);
  const hasEnding = ending === "weight" || ending === "bias";
  const infix = hasEnding ? rest.slice(0, -1) : rest;
  // Names of adapters have no dots; a bias has only lora_B.
  if (path.length === 0 || infix.length > 1 || (ending === "bias" && segment !== "lora_B")) return { kind: "unknown" };
  const [adapter] = infix;
  if (segment === "trainable_tokens_delta") {
    return { kind: "token-rows", module: modulePath(path), adapter };
  }
  const factor = FACTORS.find((known) => known === (ending === "bias" ? `${segment}.bias` : segment));
  return factor === undefined ? { kind: "unknown" } : { kind: "factor", place: readPlace(path), factor, adapter };
}

function readShared(name: string): KeyMeaning | undefined {
  const [wrapper, segment, adapter, ...rest] = name.split(".");
  const factor = SHARED_FACTORS.find((known) => known === segment);
  if (wrapper !== "base_model" || factor === undefined || rest.length > 0) return undefined;
  return { kind: "shared", factor, adapter };
}

function readPlace(path: readonly string[]): ModulePlace {
  const inner = path.findLastIndex((segment) => segment !== "base_layer");
  const depth = path.length - 1 - inner;
  const wrapper = path.slice(0, inner).lastIndexOf("base_layer");
  const module = modulePath(path);
  return { module, depth, owner: wrapper < 0 ? module : modulePath(path.slice(0, wrapper)) };
}

function readParameter(segments: readonly string[]): KeyMeaning {
  const saved = segments.findIndex((segment) => WHOLE.has(segment));
  const hasAdapter = saved >= 0 && (segments[saved] === "modules_to_save" || segments.length > saved + 2);
  const adapter = hasAdapter ? segments[saved + 1] : undefined;
  const path = segments.filter((_, index) => index !== saved && !(hasAdapter && index === saved + 1));
  const parameter = path.at(-1) ?? "";
  const module = modulePath(path.slice(0, -1));
  if (parameter === "") return { kind: "unknown" };
  return { kind: "parameter", module, parameter, wrapped: path.at(-2) === "base_layer", adapter };
}

function modulePath(path: readonly string[]): string {
  return path.filter((segment) => segment !== "base_layer" && segment !== "token_adapter").join(".");
}

/** What stands before the parameters of a module that was trained whole. */
const WHOLE: ReadonlySet<string> = new Set(["modules_to_save", "ln_tuning_layers"]);

const FACTOR_SEGMENTS: ReadonlySet<string> = new Set([
  ...FACTORS.filter((factor) => !factor.includes(".")),
  "trainable_tokens_delta",
]);

/** What FSDP, activation checkpointing and torch.compile put into raw state dicts; DDP and DeepSpeed begin with `module`. */
const WRAPPERS: ReadonlySet<string> = new Set(["_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_orig_mod"]);

/** VeLoRA's projections and MonteCLoRA's samplers. */
const TRAINING_STATE: ReadonlySet<string> = new Set(["lora_velora_embed", "lora_monteclora_sampler"]);

/** Segments that only adapters have, here of other methods or layouts. */
const ADAPTER_LIKE = /^(?:lora_|hada_|lokr_|ia3_|oft_|boft_|vera_|dora_scale$|lora$)/;
