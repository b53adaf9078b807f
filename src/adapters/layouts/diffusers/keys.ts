/**
 * Tensor names of diffusers, ComfyUI and ai-toolkit → module path and factor, in the words of `kohya/factors.ts`.
 *
 * Paths have dots and start with the part of the pipeline (`unet.`, `transformer.`, `text_encoder.`, `diffusion_model.`).
 * The names of three ages of diffusers are read: PEFT's `lora_A`; `….lora.down`, `….lora_linear_layer.down`; and
 * `….processor.to_q_lora.down`.
 */

import { dottedPart, PIPELINE_PARTS } from "../../architecture/pipeline/parts.ts";
import { FACTORS, type LycorisFactor } from "../kohya/factors.ts";

export interface DiffusersKey {
  readonly module: string;
  readonly factor: LycorisFactor;
}

/** Parts of a pipeline, as names start with them. */
export const COMPONENTS: readonly string[] = PIPELINE_PARTS.map(({ component }) => component).filter(
  (name) => name !== "",
);

/** Ends of names besides those of kohya's. */
const ENDINGS: readonly (readonly [ending: string, factor: LycorisFactor])[] = [
  [".lora_A.weight", "lora_down.weight"],
  [".lora_B.weight", "lora_up.weight"],
  [".lora_A.default.weight", "lora_down.weight"],
  [".lora_B.default.weight", "lora_up.weight"],
  [".lora_B.bias", "lora_up.bias"],
  [".lora_magnitude_vector", "dora_scale"],
  [".lora_magnitude_vector.weight", "dora_scale"],
  [".lora.down.weight", "lora_down.weight"],
  [".lora.up.weight", "lora_up.weight"],
  [".lora_linear_layer.down.weight", "lora_down.weight"],
  [".lora_linear_layer.up.weight", "lora_up.weight"],
  ["_lora.down.weight", "lora_down.weight"],
  ["_lora.up.weight", "lora_up.weight"],
  // `weight` and `on_input` of IA3 have no place here: every parameter's name ends in `weight`.
  ...FACTORS.filter((factor) => factor !== "weight" && factor !== "on_input").map(
    (factor) => [`.${factor}`, factor] as const,
  ),
];

/** `undefined` for names that are not of this layout. */
export function readDiffusersKey(name: string): DiffusersKey | undefined {
  const [ending, factor] = ENDINGS.find(([candidate]) => name.endsWith(candidate)) ?? [];
  if (ending === undefined || factor === undefined) return undefined;
  const path = name.slice(0, -ending.length);
  const [, owner, layer] = /^(.*)\.processor\.(\w+)$/.exec(path) ?? [];
  if (owner === undefined || layer === undefined) return path === "" ? undefined : { module: path, factor };
  // Of the list [linear, dropout] that is `to_out`.
  return { module: `${owner}.${layer === "to_out" ? "to_out.0" : layer}`, factor };
}

/** Whether only a file of this layout has the name. */
export function isDiffusersName(name: string): boolean {
  if (readDiffusersKey(name) === undefined) return false;
  if (/\.processor\.\w+_lora\.|\.lora(?:_linear_layer)?\.(?:up|down)\.weight$/.test(name)) return true;
  return dottedPart(name) !== undefined;
}
