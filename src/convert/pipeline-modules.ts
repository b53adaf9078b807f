/**
 * Modules of image pipelines under the names of diffusers: `<part>.<path>`, whatever their layout called them.
 *
 * Flat names are found in the base, else among the paths of known architectures; original names are translated, and layers
 * that diffusers has as several are cut: all parts share `down`, each has its rows of `up`.
 */

import type { Adapter, AdapterModule } from "../adapters/adapter.ts";
import { describeArchitecture } from "../adapters/architecture/architecture.ts";
import { diffusersPath, partsOf } from "../adapters/architecture/pipeline/aliases.ts";
import { unflatten } from "../adapters/architecture/pipeline/known-paths.ts";
import { dottedPart, flatPart, PART_PREFIXES } from "../adapters/architecture/pipeline/parts.ts";
import { swapsHalves } from "../adapters/architecture/pipeline/transformer-names.ts";
import { PipelineNames } from "../adapters/resolve/pipeline-names.ts";
import { swapHalves } from "../adapters/swap-halves.ts";
import { MismatchError } from "../core/errors.ts";
import { quote, summarise } from "../core/text.ts";
import type { Model } from "../formats/model.ts";
import { cutRows } from "./cut-rows.ts";
import { fitToBase } from "./fit-to-base.ts";

/** @throws {MismatchError} ADAPTER_MISMATCH naming all modules whose layer is unknown or ambiguous */
export function withPipelineNames(adapter: Adapter, base: Model | undefined): Adapter {
  if (adapter.layout !== "kohya" && adapter.layout !== "diffusers") return adapter;
  const names = base && new PipelineNames(base.store.tensors, describeArchitecture(base).renames);
  const problems: string[] = [];
  const placed = adapter.modules.map((module) => {
    const place = placeOf(module.name, names);
    if (typeof place === "string") problems.push(`${quote(module.name)}: ${place}`);
    return { module: names === undefined ? module : fitToBase(module, names), place };
  });
  if (problems.length > 0) {
    throw new MismatchError("ADAPTER_MISMATCH", "the names of layers are not clear", problems, {
      file: adapter.path,
      ...(base === undefined && { hint: "pass --base with the model that the adapter is for" }),
    });
  }
  const paths = placed.flatMap(({ place }) => (typeof place === "string" ? [] : [place.path]));
  const isFlux = paths.some((path) => path.startsWith("single_"));
  // Qwen-Image has blocks as diffusers has them beside an `img_in` of its own.
  const isTranslated =
    paths.some((path) => /^(?:single_)?transformer_blocks\.\d/.test(path)) &&
    !paths.some((path) => /^(?:double|single|joint)_blocks\.\d/.test(path));
  const modules = placed.flatMap(({ module, place }) => {
    if (typeof place === "string") return [];
    const component = componentFor(place, isFlux);
    return isTranslated && component === "transformer"
      ? [{ ...module, name: `${component}.${place.path}` }]
      : renamed(module, component, place.path);
  });
  const { flatNames, ...rest } = adapter;
  return { ...rest, modules };
}

interface Place {
  /** What the start of the name says; empty for whole models. */
  readonly component: string;
  /** Original or of diffusers. */
  readonly path: string;
}

/** Where a name leads; a text says why nowhere. */
function placeOf(name: string, names: PipelineNames | undefined): Place | string {
  const dotted = dottedPart(name);
  if (dotted !== undefined) return { component: dotted.part.component, path: dotted.rest };
  const flat = flatPart(name);
  if (flat === undefined) return { component: "", path: name };
  const { component } = flat.part;
  const match = names?.find(`${name}.weight`);
  if (match?.kind === "many") return `fits ${summarise(match.names.map(quote))} of the base, expected one`;
  if (match?.kind === "one") return { component, path: withoutPrefix(match.tensor.name, component) };
  const [path, ...others] = unflatten(component, flat.rest);
  if (path === undefined)
    return names === undefined ? "is no layer of a known architecture" : "the base has no such layer";
  if (others.length > 0) return `may be ${summarise([path, ...others].map(quote))}`;
  return { component, path };
}

function withoutPrefix(tensor: string, component: string): string {
  const path = tensor.replace(/\.(?:weight|bias)$/, "");
  if (component === "") return path;
  const prefix = PART_PREFIXES.find((candidate) => candidate !== "" && path.startsWith(`${candidate}.`));
  return prefix === undefined ? path : path.slice(prefix.length + 1);
}

/** kohya calls every denoiser a UNet and numbers Flux' T5 as Stable Diffusion 3 does. */
function componentFor({ component, path }: Place, isFlux: boolean): string {
  const own = diffusersPath(path) ?? partsOf(path)?.parts[0] ?? path;
  if (component === "unet" || component === "diffusion_model") {
    if (
      /^(?:single_)?transformer_blocks\.|^x_embedder|^context_embedder|^time_text_embed|^norm_out\.|^proj_out$/.test(
        own,
      )
    )
      return "transformer";
    return /^(?:down|up)_blocks\.|^mid_block\.|^conv_|^(?:time|add)_embedding\.linear_/.test(own) ? "unet" : component;
  }
  return component === "text_encoder_3" && isFlux ? "text_encoder_2" : component;
}

function renamed(module: AdapterModule, component: string, path: string): AdapterModule[] {
  const name = (own: string) => (component === "" ? own : `${component}.${own}`);
  const fused = partsOf(path);
  if (fused === undefined) {
    const own = diffusersPath(path) ?? path;
    return [{ ...(swapsHalves(path, own) ? swapHalves(module) : module), name: name(own) }];
  }
  return cutRows(module, fused.shares).map((part, index) => ({ ...part, name: name(fused.parts[index] ?? path) }));
}
