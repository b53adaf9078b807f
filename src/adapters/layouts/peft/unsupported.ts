/**
 * What PEFT can write and this program refuses, each with the reason: the adapter cannot be merged from its file alone, or
 * is not read yet. Nothing is approximated.
 */

import { type ErrorDetails, UnsupportedError } from "../../../core/errors.ts";
import { quote } from "../../../core/text.ts";
import { isTruthy, type Settings, stringField } from "./fields.ts";
import { isKnownSetting, type KnownSetting, SETTINGS } from "./settings-table.ts";

/** The adapter types that are read. */
const PEFT_TYPES = ["LORA", "ADALORA", "LOHA", "LOKR", "IA3", "VERA", "TRAINABLE_TOKENS", "LN_TUNING"] as const;
export type PeftType = (typeof PEFT_TYPES)[number];

/** Where the initialisation of LoRA leaves the base as it was; `true` and `false` as well. */
const HARMLESS_INITIALISATIONS = ["gaussian", "eva", "orthogonal", "mica"] as const;

export type Initialisation = "plain" | "gaussian" | "pissa" | "olora";

/** The type of the adapter, where it is one that is read. */
export function checkPeftType(settings: Settings): PeftType {
  const type = stringField(settings, "peft_type");
  const known = PEFT_TYPES.find((candidate) => candidate === type);
  if (known !== undefined) return known;
  const reason = type === undefined ? undefined : REFUSED_TYPES.get(type);
  throw unsupported(
    `adapter type ${type === undefined ? "nothing" : quote(type)}, expected one of ${PEFT_TYPES.join(", ")}${reason === undefined ? "" : `: ${reason}`}`,
    { file: settings.file, subject: "peft_type" },
  );
}

/** Refuses settings that change what the adapter computes in a way that is not handled, and settings unknown to PEFT. */
export function refuseUnsupportedSettings(settings: Settings): void {
  for (const [key, value] of settings.values) {
    if (!isTruthy(value)) continue;
    if (!isKnownSetting(key)) {
      throw unsupported("unknown setting", {
        file: settings.file,
        subject: key,
        hint: "it may change what the adapter computes; if it has no part in inference, remove it from the file",
      });
    }
    if (SETTINGS[key] !== "refused") continue;
    const reason = REFUSED_SETTINGS[key];
    throw unsupported(reason ?? "not supported", { file: settings.file, subject: key });
  }
}

/** What `init_lora_weights` did to the base weights. */
export function checkInitialisation(settings: Settings): Initialisation {
  const key = "init_lora_weights";
  const value = settings.values.get(key) ?? true;
  if (typeof value === "boolean") return "plain";
  const name = stringField(settings, key) ?? "";
  // PEFT compares these two without regard to case.
  if (name.toLowerCase() === "gaussian") return "gaussian";
  if (name.toLowerCase() === "olora") return "olora";
  if (name === "pissa") return "pissa";
  if (HARMLESS_INITIALISATIONS.some((harmless) => harmless === name.toLowerCase())) return "plain";
  const [, reason] = REFUSED_INITIALISATIONS.find(([start]) => name.startsWith(start)) ?? [];
  const changed = "the initialisation changed the base weights";
  throw unsupported(
    `${quote(name)} is not supported: ${reason === undefined ? "unknown initialisation" : `${changed}, ${reason}`}`,
    {
      file: settings.file,
      subject: key,
      hint: `if the base to merge into is the changed one, set ${key} to true in the file`,
    },
  );
}

export function unsupported(problem: string, details: ErrorDetails): UnsupportedError {
  return new UnsupportedError("UNSUPPORTED_ADAPTER", problem, details);
}

const REFUSED_SETTINGS: Partial<Record<KnownSetting, string>> = {
  megatron_config: "layers of Megatron are split over processes, the file holds parts",
  layer_replication: "layers of the base are repeated, the merged model would have another architecture",
  alora_invocation_tokens: "activated LoRA works from an invocation in the text on, it has no merged weights",
  arrow_config: "Arrow chooses among adapters for each token, it has no merged weights",
  use_qalora: "QALoRA pools the inputs of a quantised base, PEFT cannot merge it either",
  kasa_config: "KaSA cut the smallest singular values off the base weights, which is not recomputed here",
  enable_lora: "the fused layers of early versions are not read",
};

/** By how they start, as in PEFT (`pissa_niter_16`, `corda…`). */
const REFUSED_INITIALISATIONS: readonly (readonly [start: string, reason: string])[] = [
  ["pissa_niter_", "by a randomised decomposition that cannot be repeated"],
  ["corda", "by data that is not in the file"],
  ["lora_ga", "by gradients that are not in the file"],
  ["loftq", "to quantised ones"],
];

const PROMPT = "it adds inputs or states and has no weights to merge into";
const ROUTED = "it depends on the inputs and has no merged weights";
const NOT_READ = "its tensors are not read";
const GENERATED = "part of it is drawn from a random generator or shared between layers";

/** The other types of PEFT 0.21.2, and BONE of older versions. */
const REFUSED_TYPES: ReadonlyMap<string, string> = new Map([
  ...[
    "PROMPT_TUNING",
    "MULTITASK_PROMPT_TUNING",
    "P_TUNING",
    "PREFIX_TUNING",
    "ADAPTION_PROMPT",
    "CPT",
    "CARTRIDGE",
  ].map((type) => [type, PROMPT] as const),
  ...["XLORA", "POLY", "SHADOW"].map((type) => [type, ROUTED] as const),
  ...["PVERA", "RANDLORA", "VBLORA", "UNILORA", "TINYLORA", "FROD", "FOURIERFT", "WAVEFT", "LILY"].map(
    (type) => [type, GENERATED] as const,
  ),
  ...[
    "ADAMSS",
    "BEFT",
    "BOFT",
    "BONE",
    "C3A",
    "DEFT",
    "DELORA",
    "GLORA",
    "GRALORA",
    "HIRA",
    "HRA",
    "MISS",
    "OFT",
    "OSF",
    "PEANUT",
    "PSOFT",
    "ROAD",
    "SHIRA",
    "SUPERTUNING",
  ].map((type) => [type, NOT_READ] as const),
]);
