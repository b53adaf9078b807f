/**
 * Flat names of kohya and LyCORIS (`lora_unet_mid_block_attentions_0_proj_in`) → the tensor of the base.
 *
 * The dots of a path cannot be told from its own underscores, so names are never taken apart: the paths of the base are
 * made flat and compared. The start of the name says which part of a pipeline it belongs to; a base may hold one part, or
 * several under the names below. Several hits are never guessed between.
 */

import type { TensorData } from "../../formats/tensor-store.ts";
import { matchOf, type NameFinder, type NameMatch } from "./names.ts";

/** What stands before the paths of a part in files that hold one or several: diffusers, single-file checkpoints, ComfyUI. */
const UNET = ["", "unet", "transformer", "model", "diffusion_model", "model.diffusion_model"];
const FIRST_ENCODER = [
  "",
  "text_encoder",
  "cond_stage_model.transformer",
  "conditioner.embedders.0.transformer",
  "text_encoders.clip_l.transformer",
];
const SECOND_ENCODER = ["", "text_encoder_2", "conditioner.embedders.1.model", "text_encoders.clip_g.transformer"];
const THIRD_ENCODER = ["", "text_encoder_2", "text_encoder_3", "text_encoders.t5xxl.transformer"];

/** By the start of a name, longer ones first. */
const PARTS: readonly (readonly [start: string, prefixes: readonly string[]])[] = [
  ["lora_prior_unet_", UNET],
  ["lora_transformer_", UNET],
  ["lora_unet_", UNET],
  ["lora_te1_", FIRST_ENCODER],
  ["lora_te2_", SECOND_ENCODER],
  ["lora_te3_", THIRD_ENCODER],
  ["lora_te_", FIRST_ENCODER],
  ["lycoris_", ["", "model"]],
];

/** The starts of the names that this finds. */
export const FLAT_STARTS: readonly string[] = PARTS.map(([start]) => start);

export class FlatNameIndex implements NameFinder {
  /** By the flat path of the module, a dot, and the parameter. */
  readonly #byFlatName = new Map<string, TensorData[]>();

  constructor(tensors: ReadonlyMap<string, TensorData>) {
    for (const tensor of tensors.values()) {
      const dot = tensor.name.lastIndexOf(".");
      const key = `${flat(tensor.name.slice(0, Math.max(dot, 0)))}.${tensor.name.slice(dot + 1)}`;
      const known = this.#byFlatName.get(key);
      if (known === undefined) this.#byFlatName.set(key, [tensor]);
      else known.push(tensor);
    }
  }

  /** @param path a flat name, a dot, and the parameter */
  find(path: string): NameMatch {
    const [start, prefixes] = PARTS.find(([candidate]) => path.startsWith(candidate)) ?? [];
    if (start === undefined || prefixes === undefined) return { kind: "none" };
    const inner = path.slice(start.length);
    const keys = prefixes.map((prefix) => (prefix === "" ? inner : `${flat(prefix)}_${inner}`));
    return matchOf(keys.flatMap((key) => this.#byFlatName.get(key) ?? []));
  }
}

function flat(path: string): string {
  return path.replaceAll(".", "_");
}
