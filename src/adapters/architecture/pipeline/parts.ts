/**
 * The parts of an image pipeline: what diffusers and kohya call them, and what stands before their paths in a base.
 */

export interface PipelinePart {
  /** Of diffusers; the first segment of names in its files. */
  readonly component: string;
  /** Starts of kohya's flat names, the one to write first. */
  readonly flatStarts: readonly string[];
  /** Of ComfyUI's dotted names, where they are not the component. */
  readonly otherStarts?: readonly string[];
  /** Before the paths in files that hold one part or several: diffusers, single-file checkpoints, ComfyUI. */
  readonly prefixes: readonly string[];
}

const DENOISER = ["", "unet", "transformer", "model", "diffusion_model", "model.diffusion_model"];
const CLIP = ["cond_stage_model.transformer", "cond_stage_model.model", "conditioner.embedders.0.transformer"];
const SECOND_CLIP = ["conditioner.embedders.1.model", "text_encoders.clip_g.transformer"];
const T5 = ["text_encoder_2", "text_encoder_3", "text_encoders.t5xxl.transformer"];

/** In the order in which a flat name is tried: longer starts first. */
export const PIPELINE_PARTS: readonly PipelinePart[] = [
  { component: "prior", flatStarts: ["lora_prior_unet_"], prefixes: ["", "prior", ...DENOISER.slice(1)] },
  { component: "transformer", flatStarts: ["lora_transformer_"], prefixes: DENOISER },
  { component: "unet", flatStarts: ["lora_unet_"], prefixes: DENOISER },
  {
    component: "text_encoder",
    flatStarts: ["lora_te1_", "lora_te_"],
    otherStarts: ["text_encoders.clip_l.transformer."],
    prefixes: ["", "text_encoder", ...CLIP, "text_encoders.clip_l.transformer"],
  },
  {
    component: "text_encoder_2",
    flatStarts: ["lora_te2_"],
    otherStarts: ["text_encoders.clip_g.transformer."],
    prefixes: ["", "text_encoder_2", ...SECOND_CLIP],
  },
  {
    component: "text_encoder_3",
    flatStarts: ["lora_te3_"],
    otherStarts: ["text_encoders.t5xxl.transformer."],
    prefixes: ["", ...T5],
  },
  // Of ComfyUI and of video models with two denoisers: read, never written.
  { component: "diffusion_model", flatStarts: [], prefixes: DENOISER },
  { component: "transformer_2", flatStarts: [], prefixes: ["", "transformer_2"] },
  // LyCORIS around any model.
  { component: "", flatStarts: ["lycoris_"], prefixes: ["", "model"] },
];

/** What may stand before the path of a part, longest first. */
export const PART_PREFIXES: readonly string[] = [...new Set(PIPELINE_PARTS.flatMap(({ prefixes }) => prefixes))].sort(
  (a, b) => b.length - a.length,
);

/** The part that a flat name belongs to, and the rest of the name. */
export function flatPart(name: string): { readonly part: PipelinePart; readonly rest: string } | undefined {
  for (const part of PIPELINE_PARTS) {
    const start = part.flatStarts.find((candidate) => name.startsWith(candidate));
    if (start !== undefined) return { part, rest: name.slice(start.length) };
  }
  return undefined;
}

/** The part that a dotted name starts with, and the rest of the name. */
export function dottedPart(name: string): { readonly part: PipelinePart; readonly rest: string } | undefined {
  if (LANGUAGE_MODEL.test(name)) return undefined;
  for (const part of PIPELINE_PARTS) {
    const starts = [...(part.component === "" ? [] : [`${part.component}.`]), ...(part.otherStarts ?? [])];
    const start = starts.find((candidate) => name.startsWith(candidate));
    if (start !== undefined) return { part, rest: name.slice(start.length) };
  }
  return undefined;
}

/** Language models of PEFT have `transformer.` too. */
const LANGUAGE_MODEL = /^transformer\.(?:h|wte|wpe|encoder|word_embeddings)\./;

/** The part that one model is, by paths that nothing else has: what one of them shows holds for all. */
export function partOfPaths(paths: readonly string[]): string | undefined {
  return OWN_PATHS.find(([, pattern]) => paths.some((path) => pattern.test(path)))?.[0];
}

const OWN_PATHS: readonly (readonly [component: string, pattern: RegExp])[] = [
  [
    "unet",
    /^(?:(?:down|up)_blocks\.\d|mid_block\.(?:attentions|resnets)\.|(?:input|output)_blocks\.\d|middle_block\.\d)/,
  ],
  // Of Flux, Stable Diffusion 3, Qwen-Image, LTX; of Wan; of Z-Image and Lumina.
  ["transformer", /^(?:(?:single_)?transformer_blocks|double_blocks|single_blocks|joint_blocks)\.\d/],
  ["transformer", /^blocks\.\d+\.(?:self_attn|cross_attn)\.[qkvo]$/],
  ["transformer", /^(?:layers|noise_refiner|context_refiner)\.\d+\.attention\.(?:to_[qkv]|qkv)$/],
  ["text_encoder", /^text_model\./],
];
