/**
 * Rotary positions of a config.json, in the form of transformers 5 (`rope_parameters`) and in the older one (`rope_theta`,
 * `rope_scaling`), read as `RotaryEmbeddingConfigMixin` of 5.23 does.
 */

import type { ConfigReader } from "./config-reader.ts";
import type { RopeDescription, RopeScaling } from "./description.ts";

export interface RopeContext {
  readonly headSize: number;
  readonly maxPositions: number;
  readonly defaultTheta: number;
  /** Top-level key that older files keep θ under. */
  readonly thetaKey?: string;
  /** Share of each head that is rotated, where the family has one. */
  readonly partial?: { readonly key: string; readonly otherwise: number };
  /** What the family takes for `original_max_position_embeddings` whatever the scaling says. */
  readonly originalPositions?: number;
  /** Phi-3 called its longrope `su` and `yarn` first. */
  readonly yarnIsLongrope?: boolean;
}

/** Scaling of the first kind of file wins over that of the second, as in transformers. */
export function readRope(config: ConfigReader, context: RopeContext): RopeDescription {
  const parameters = config.object("rope_scaling") ?? config.object("rope_parameters");
  return readRopeParameters(config, parameters, context);
}

/** @param parameters the object that holds the scaling; `undefined` for none */
export function readRopeParameters(
  config: ConfigReader,
  parameters: ConfigReader | undefined,
  context: RopeContext,
): RopeDescription {
  const { headSize, defaultTheta, thetaKey = "rope_theta", partial } = context;
  const theta = parameters?.optionalPositive("rope_theta") ?? config.positive(thetaKey, defaultTheta);
  const share =
    parameters?.optionalPositive("partial_rotary_factor") ??
    (partial === undefined ? config.optionalPositive("partial_rotary_factor") : undefined) ??
    config.positive(partial?.key ?? "partial_rotary_factor", partial?.otherwise ?? 1);
  if (partial === undefined && share !== 1) {
    throw config.unsupported("partial_rotary_factor", `expected 1 for this model type, got ${share}`);
  }
  const size = Math.trunc(headSize * share);
  if (size < 1 || 2 * Math.ceil(size / 2) > headSize) {
    const key = partial?.key ?? "head_dim";
    throw config.unsupported(key, `expected pairs of elements to rotate in a head of ${headSize}, got ${size}`);
  }
  const scaling =
    parameters === undefined ? ({ kind: "default" } as const) : readScaling(config, parameters, size, context);
  return { theta, size, scaling };
}

const KINDS: ReadonlyMap<string, RopeScaling["kind"]> = new Map([
  ["default", "default"],
  ["linear", "linear"],
  ["dynamic", "dynamic"],
  ["llama3", "llama3"],
  ["yarn", "yarn"],
  ["longrope", "longrope"],
]);

const PHI3_KINDS: ReadonlyMap<string, RopeScaling["kind"]> = new Map([
  ["default", "default"],
  ["longrope", "longrope"],
  ["su", "longrope"],
  ["yarn", "longrope"],
]);

function readScaling(
  config: ConfigReader,
  parameters: ConfigReader,
  size: number,
  { maxPositions, yarnIsLongrope = false, originalPositions: fixed }: RopeContext,
): RopeScaling {
  const key = parameters.has("rope_type") ? "rope_type" : "type";
  const kind = parameters.choice(key, yarnIsLongrope ? PHI3_KINDS : KINDS, "default");
  const originalPositions = () =>
    config.optionalCount("original_max_position_embeddings", fixed) ??
    parameters.count("original_max_position_embeddings", maxPositions);
  switch (kind) {
    case "default":
      return { kind };
    case "linear":
      return { kind, factor: parameters.positive("factor") };
    case "dynamic":
      // θ' = θ · (…)^(size / (size − 2))
      if (size < 3)
        throw parameters.unsupported(key, `expected at least 3 rotated elements for "dynamic", got ${size}`);
      return { kind, factor: parameters.positive("factor"), maxPositions };
    case "llama3":
      return {
        kind,
        factor: parameters.positive("factor"),
        lowFrequencyFactor: parameters.positive("low_freq_factor"),
        highFrequencyFactor: parameters.positive("high_freq_factor"),
        originalPositions: originalPositions(),
      };
    case "yarn":
      return readYarn(parameters, maxPositions, originalPositions());
    case "longrope": {
      const original = originalPositions();
      return {
        kind,
        shortFactors: parameters.positives("short_factor", Math.ceil(size / 2)),
        longFactors: parameters.positives("long_factor", Math.ceil(size / 2)),
        originalPositions: original,
        attentionFactor:
          parameters.optionalPositive("attention_factor") ??
          longropeFactor(parameters.optionalPositive("factor") ?? maxPositions / original, original),
      };
    }
  }
}

/** √(1 + ln f / ln original) */
function longropeFactor(factor: number, originalPositions: number): number {
  return factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalPositions));
}

function readYarn(parameters: ConfigReader, maxPositions: number, originalPositions: number): RopeScaling {
  const factor = parameters.optionalPositive("factor") ?? maxPositions / originalPositions;
  const [scale, allScale] = [parameters.optionalPositive("mscale"), parameters.optionalPositive("mscale_all_dim")];
  const magnitude = (multiplier: number) => (factor <= 1 ? 1 : 0.1 * multiplier * Math.log(factor) + 1);
  const derived = scale === undefined || allScale === undefined ? magnitude(1) : magnitude(scale) / magnitude(allScale);
  return {
    kind: "yarn",
    factor,
    betaFast: parameters.positive("beta_fast", 32),
    betaSlow: parameters.positive("beta_slow", 1),
    originalPositions,
    truncates: parameters.flag("truncate", true),
    attentionFactor: parameters.optionalPositive("attention_factor") ?? derived,
  };
}
