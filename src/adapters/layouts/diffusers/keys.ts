/**
 * Tensor names of diffusers, ComfyUI and ai-toolkit → module path and factor, in the words of `kohya/factors.ts`.
 *
 * Paths have dots and start with the part of the pipeline (`unet.`, `transformer.`, `text_encoder.`, `diffusion_model.`);
 * trainers of one denoiser leave that out (DiffSynth-Studio, Black Forest Labs, fal). The names of three ages of diffusers
 * are read: PEFT's `lora_A`; `….lora.down`, `….lora_linear_layer.down`; and `….processor.to_q_lora.down`.
 */

import { dottedPart, PIPELINE_PARTS, partOfPaths } from "../../architecture/pipeline/parts.ts";
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
  const path = name.slice(0, -ending.length).replace(WRAPPERS, "");
  const [, owner, layer] = /^(.*)\.processor\.(\w+)$/.exec(path) ?? [];
  if (owner === undefined || layer === undefined)
    return path === "" ? undefined : { module: encoderPath(path), factor };
  // Of the list [linear, dropout] that is `to_out`.
  return { module: `${owner}.${layer === "to_out" ? "to_out.0" : layer}`, factor };
}

/** What stands before the paths of a denoiser that was trained alone. */
const WRAPPERS = /^(?:base_model\.model\.|pipe\.dit\.|model\.(?=diffusion_model\.))/;

/** The text encoders of the first age have the names of the denoiser's attention: `self_attn.to_q_lora.down`. */
function encoderPath(path: string): string {
  return path.replace(/(\.self_attn)\.to_(q|k|v|out)$/, "$1.$2_proj");
}

/** Whether only a file of this layout has the name. */
export function isDiffusersName(name: string): boolean {
  const key = readDiffusersKey(name);
  if (key === undefined) return false;
  if (/\.processor\.\w+_lora\.|\.lora(?:_linear_layer)?\.(?:up|down)\.weight$/.test(name)) return true;
  if (dottedPart(name) !== undefined) return true;
  const { module, factor } = key;
  return module.includes(".") && factor.startsWith("lora_") && isDenoiser(module);
}

function isDenoiser(path: string): boolean {
  const part = partOfPaths([path]);
  return part !== undefined && part !== "text_encoder";
}

/** The name of a module with the part of the pipeline first; `own` is that of all names without one. */
export function withPart(module: string, own: string | undefined): string {
  const { part, rest } = dottedPart(module) ?? {};
  if (part !== undefined) return `${part.component}.${rest}`;
  return own === undefined ? module : `${own}.${module}`;
}

/** Norms of attention that control LoRAs of Black Forest Labs hold as a whole. */
export function isNormScale(name: string): boolean {
  return /\.(?:norm\.(?:query|key)_norm\.scale|norm_(?:added_)?[qk]\.weight)$/.test(name);
}
