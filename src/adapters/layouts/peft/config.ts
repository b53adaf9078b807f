/**
 * adapter_config.json into what the tensors need: the type of the adapter, its ranks and alphas by module, its convention.
 *
 * Settings and their meaning: PEFT 0.21.2 (`LoraConfig`, `AdaLoraConfig`, `LoHaConfig`, `LoKrConfig`, `IA3Config`,
 * `VeraConfig`, `TrainableTokensConfig`, `LNTuningConfig`). Every setting is checked; what is unknown or not supported is
 * refused (`unsupported.ts`).
 */

import type { JsonObject } from "../../../core/json.ts";
import type { Convention, ExpertLayout } from "../../adapter.ts";
import { type BlockDiagonal, readBlockDiagonal } from "./block-diagonal.ts";
import {
  alphaField,
  booleanField,
  nameListField,
  namesField,
  patternField,
  rankField,
  type Settings,
  stringField,
  toAlpha,
  toRank,
} from "./fields.ts";
import { nameSet, type PatternCompiler, type PatternTable, patternCompiler, patternTable } from "./name-rules.ts";
import { readAllocatedRanks } from "./rank-allocation.ts";
import { readTargets, type Targets } from "./targets.ts";
import { readTokenIndices, type TokenIndices } from "./token-indices.ts";
import {
  checkInitialisation,
  checkPeftType,
  type Initialisation,
  type PeftType,
  refuseUnsupportedSettings,
} from "./unsupported.ts";

export interface PeftConfig {
  /** Path of the file, for errors. */
  readonly file: string;
  readonly settings: Settings;
  readonly type: PeftType;
  readonly convention: Convention;
  /** Of modules that no pattern names; 0 for types without ranks. */
  readonly rank: number;
  readonly alpha: number;
  readonly rankPattern: PatternTable;
  readonly alphaPattern: PatternTable;
  /** AdaLoRA: ranks that are left, by module. */
  readonly allocatedRanks: ReadonlyMap<string, number>;
  readonly initialisation: Initialisation;
  readonly dora: boolean;
  readonly loraBias: boolean;
  readonly blockDiagonal: BlockDiagonal | undefined;
  readonly targets: Targets;
  /** `target_parameters`, e.g. `mlp.experts.gate_up_proj`. */
  readonly targetParameters: readonly string[];
  readonly swappedExperts: ExpertLayout["swapped"];
  /** IA3: whether a module is scaled along its inputs. */
  readonly isFeedforward: (name: string) => boolean;
  readonly tokenIndices: TokenIndices | undefined;
  readonly keepsTie: boolean;
  readonly fanInFanOut: boolean;
  readonly baseModel: string | undefined;
}

/** Reads the parsed file; `file` is its path. */
export function readPeftConfig(values: JsonObject, file: string): PeftConfig {
  const settings: Settings = { file, values };
  const type = checkPeftType(settings);
  refuseUnsupportedSettings(settings);
  const compiler = patternCompiler(file);
  return {
    file,
    settings,
    type,
    convention: booleanField(settings, "use_rslora", false) ? "rslora" : "lora",
    ...readScales(settings, type, compiler),
    allocatedRanks: type === "ADALORA" ? readAllocatedRanks(settings) : new Map(),
    initialisation: type === "LORA" ? checkInitialisation(settings) : "plain",
    dora: booleanField(settings, "use_dora", false),
    loraBias: booleanField(settings, "lora_bias", false),
    blockDiagonal: readBlockDiagonal(settings),
    targets: readTargets(settings, compiler),
    targetParameters: nameListField(settings, "target_parameters"),
    swappedExperts: swappedExperts(stringField(settings, "peft_version")),
    isFeedforward: readFeedforward(settings, compiler),
    tokenIndices: readTokenIndices(settings, type),
    keepsTie: keepsTie(settings, compiler),
    fanInFanOut: booleanField(settings, "fan_in_fan_out", false),
    baseModel: stringField(settings, "base_model_name_or_path"),
  };
}

type Scales = Pick<PeftConfig, "rank" | "alpha" | "rankPattern" | "alphaPattern">;

function readScales(settings: Settings, type: PeftType, compiler: PatternCompiler): Scales {
  const none = patternTable(new Map(), "", compiler);
  switch (type) {
    case "IA3":
    case "TRAINABLE_TOKENS":
    case "LN_TUNING":
      return { rank: 0, alpha: 0, rankPattern: none, alphaPattern: none };
    case "ADALORA":
      // `r` and `alpha_pattern` are not used; `rank_pattern` holds other things, see `rank-allocation.ts`.
      return {
        rank: rankField(settings, "init_r"),
        alpha: alphaField(settings, "lora_alpha"),
        rankPattern: none,
        alphaPattern: none,
      };
    case "VERA":
      return { rank: rankField(settings, "r"), alpha: 0, rankPattern: none, alphaPattern: none };
    case "LORA":
    case "LOHA":
    case "LOKR":
      return {
        rank: rankField(settings, "r"),
        alpha: alphaField(settings, type === "LORA" ? "lora_alpha" : "alpha"),
        rankPattern: patternTable(patternField(settings, "rank_pattern", toRank), "rank_pattern", compiler),
        alphaPattern: patternTable(patternField(settings, "alpha_pattern", toAlpha), "alpha_pattern", compiler),
      };
  }
}

/** A list counts by the end of the name, dot or not (`IA3Model._check_target_module_feedforward`). */
function readFeedforward(settings: Settings, compiler: PatternCompiler): (name: string) => boolean {
  const names = namesField(settings, "feedforward_modules") ?? [];
  if (typeof names === "string") return nameSet(names, "feedforward_modules", compiler);
  return (name) => names.some((end) => name.endsWith(end));
}

/** PEFT looks for two names, and leaves embeddings that are called otherwise (`wte`, `word_embeddings`) to part from their head. */
function keepsTie(settings: Settings, compiler: PatternCompiler): boolean {
  if (!booleanField(settings, "ensure_weight_tying", false)) return false;
  const targets = namesField(settings, "target_modules") ?? [];
  const listed = [...nameListField(settings, "modules_to_save"), ...(typeof targets === "string" ? [] : targets)];
  if (listed.some((name) => TIED_NAMES.some((tied) => name === tied || name.endsWith(`.${tied}`)))) return true;
  return typeof targets === "string" && TIED_NAMES.some(nameSet(targets, "target_modules", compiler));
}

/** `EMBEDDING_LAYER_NAMES` of PEFT 0.21.2. */
const TIED_NAMES = ["embed_tokens", "lm_head"];

/** What the version of PEFT says about the sides of expert factors; 0.19.1 is the first that has them as linear layers do. */
function swappedExperts(version: string | undefined): ExpertLayout["swapped"] {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(version ?? "") ?? [];
  if (major === undefined) return "by-shape";
  const order = Number(major) * 1e6 + Number(minor) * 1e3 + Number(patch);
  if (order < 19_000) return "unless-transposed";
  return order < 19_001;
}
