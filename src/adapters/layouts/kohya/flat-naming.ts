/**
 * The flat names under which the tools of each model look for layers (sd-scripts, ComfyUI, A1111): original paths for
 * Stable Diffusion XL, Flux and Stable Diffusion 3, those of diffusers for Stable Diffusion 1 and 2 and for the rest.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/json.ts";
import { originalPaths, wholesOf } from "../../architecture/pipeline/aliases.ts";
import { swapsHalves } from "../../architecture/pipeline/transformer-names.ts";
import { swapHalves } from "../../swap-halves.ts";
import type { PlacedModule } from "../pipeline-part.ts";

type Family = "sd" | "sdxl" | "flux" | "sd3" | "other";

/** A layer as kohya's tools name it, and the modules that make it up. */
export interface FlatLayer {
  readonly name: string;
  /** One module, or those of the parts of a joined layer; `undefined` where a part was not adapted. */
  readonly parts: readonly (PlacedModule | undefined)[];
  /** Relative numbers of rows of the parts. */
  readonly shares: readonly number[];
}

/** @param config config.json of a part of diffusers, whose class tells the model where the names do not */
export function flatLayers(placed: readonly PlacedModule[], config: JsonObject | undefined): FlatLayer[] {
  const family = familyOf(placed, config);
  const layers = new Map<string, FlatLayer>();
  for (const entry of placed) {
    const layer = layerOf(entry, family);
    const known = layers.get(layer.name);
    layers.set(layer.name, known === undefined ? layer : joined(known, layer));
  }
  return [...layers.values()];
}

function layerOf(entry: PlacedModule, family: Family): FlatLayer {
  const { component, path } = entry;
  const start = startFor(component, family);
  if (component === "transformer" && family !== "other") {
    const block = family === "flux" ? /^(?:double|single)_blocks\./ : /^joint_blocks\./;
    const fused = wholesOf(path).find(({ whole }) => block.test(whole));
    if (fused !== undefined) {
      const parts = fused.parts.map((_, index) => (index === fused.index ? entry : undefined));
      return { name: start + flat(fused.whole), parts, shares: fused.shares };
    }
    const original = originalPaths(path).find((name) => block.test(name)) ?? originalPaths(path)[0];
    if (original !== undefined) {
      const module = swapsHalves(path, original) ? swapHalves(entry.module) : entry.module;
      return single(start + flat(original), { ...entry, module });
    }
  }
  if (component === "unet" && family === "sdxl") {
    const [original, ...others] = originalPaths(path);
    if (original !== undefined) return single(start + flat(others.at(-1) ?? original), entry);
  }
  return single(start + flat(path), entry);
}

function single(name: string, entry: PlacedModule): FlatLayer {
  return { name, parts: [entry], shares: [1] };
}

function joined(a: FlatLayer, b: FlatLayer): FlatLayer {
  const clash =
    a.parts.length === 1 || a.parts.some((part, index) => part !== undefined && b.parts[index] !== undefined);
  if (clash) {
    const [first, second] = [a, b].map(({ parts }) => parts.find((part) => part !== undefined)?.module.name ?? "");
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", `has the same flat name as "${first}"`, {
      subject: second ?? "",
    });
  }
  return { ...a, parts: a.parts.map((part, index) => part ?? b.parts[index]) };
}

function familyOf(placed: readonly PlacedModule[], config: JsonObject | undefined): Family {
  const has = (component: string, pattern: RegExp) =>
    placed.some((entry) => entry.component === component && pattern.test(entry.path));
  const known = CLASSES.get(String(config?.get("_class_name")));
  if (has("transformer", /^single_transformer_blocks\./)) return "flux";
  if (has("transformer", /./)) return known ?? (has("text_encoder_3", /./) ? "sd3" : "other");
  if (has("text_encoder_2", /./) || has("unet", /\.transformer_blocks\.[1-9]\d*\.|^add_embedding\./)) return "sdxl";
  return has("unet", /./) ? "sd" : "other";
}

/** The class of a part in its config.json. */
const CLASSES: ReadonlyMap<string, Family> = new Map([
  ["FluxTransformer2DModel", "flux"],
  ["SD3Transformer2DModel", "sd3"],
]);

function startFor(component: string | undefined, family: Family): string {
  switch (component) {
    case undefined:
      return "lycoris_";
    case "transformer":
      return family === "other" ? "lora_transformer_" : "lora_unet_";
    case "text_encoder":
      return family === "sd" || family === "other" ? "lora_te_" : "lora_te1_";
    case "text_encoder_2":
      return family === "flux" ? "lora_te3_" : "lora_te2_";
    case "text_encoder_3":
      return "lora_te3_";
    case "prior":
      return "lora_prior_unet_";
    default:
      return "lora_unet_";
  }
}

function flat(path: string): string {
  return path.replaceAll(".", "_");
}
