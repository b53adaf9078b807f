/**
 * Which layers keep their weight as [in, out]: `transformers.pytorch_utils.Conv1D`, a linear layer despite its name.
 *
 * All uses in transformers 5.23: GPT-2 and ImageGPT and Decision Transformer (attention and feed-forward), GPT
 * (`openai-gpt`, the same), CLVP (feed-forward of its decoder). A square weight does not show which it is, and the
 * `fan_in_fan_out` of an adapter is whatever its author wrote, so the architecture decides.
 */

import { lastPart } from "../../core/text.ts";
import type { TensorData } from "../../formats/tensor-store.ts";

/** Last part of the module names; no other layer of transformers is a Conv1D. */
const CONV1D_NAMES: ReadonlySet<string> = new Set(["c_attn", "q_attn", "c_proj", "c_fc"]);

const CONV1D_TYPES: ReadonlySet<string> = new Set([
  "gpt2",
  "openai-gpt",
  "imagegpt",
  "decision_transformer",
  "clvp",
  "clvp_decoder",
]);

/** Layers with more outputs than inputs in every architecture: their stored shape shows the orientation. */
const EXPANDING_NAMES: ReadonlySet<string> = new Set(["c_attn", "c_fc"]);

/** `unknown`: neither a config nor the shapes of the model tell. */
type Orientation = "linear" | "conv1d" | "unknown";

/** What a model says about its Conv1D layers as a whole. */
export interface Conv1dFacts {
  /** How the weight of the module with this name lies in the model. */
  readonly orientationOf: (module: string) => Orientation;
}

export function conv1dFacts(types: ReadonlySet<string>, tensors: ReadonlyMap<string, TensorData>): Conv1dFacts {
  const isListed = [...types].some((type) => CONV1D_TYPES.has(type));
  const shown = isListed ? "conv1d" : orientationByShapes(tensors);
  // A model type that is not listed has no Conv1D, unless it is somebody's own code and the shapes say so.
  const orientation = shown === "unknown" && types.size > 0 ? "linear" : shown;
  return {
    orientationOf: (module) => (CONV1D_NAMES.has(lastPart(module)) ? orientation : "linear"),
  };
}

/** What the fused projections of the model, which are never square, say. */
function orientationByShapes(tensors: ReadonlyMap<string, TensorData>): Orientation {
  const seen = new Set<Orientation>();
  for (const { name, shape } of tensors.values()) {
    const parts = name.split(".");
    if (parts.at(-1) !== "weight" || !EXPANDING_NAMES.has(parts.at(-2) ?? "")) continue;
    const [rows, columns] = shape;
    if (shape.length !== 2 || rows === undefined || columns === undefined || rows === columns) continue;
    seen.add(rows > columns ? "linear" : "conv1d");
  }
  const [only] = seen;
  return seen.size === 1 && only !== undefined ? only : "unknown";
}
