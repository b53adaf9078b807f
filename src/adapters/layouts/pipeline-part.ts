/**
 * The part of an image pipeline that a module belongs to, by its name: `unet.…` in files of pipelines, and by what only one
 * part has in adapters of a single model.
 */

import { UnsupportedError } from "../../core/errors.ts";
import { quote, summarise } from "../../core/text.ts";
import type { Adapter, AdapterModule } from "../adapter.ts";
import { dottedPart, partOfPaths } from "../architecture/pipeline/parts.ts";

export interface PlacedModule {
  readonly module: AdapterModule;
  /** Of diffusers; `undefined` for modules of other models. */
  readonly component: string | undefined;
  /** Inside the part. */
  readonly path: string;
}

/** @param adapter whose flat names are resolved */
export function placeModules({ layout, modules }: Adapter): PlacedModule[] {
  const ofPipeline = layout === "kohya" || layout === "diffusers";
  const own = partOfPaths(modules.map(({ name }) => name));
  return modules.map((module) => {
    const dotted = ofPipeline ? dottedPart(module.name) : undefined;
    if (dotted !== undefined) return { module, component: dotted.part.component, path: dotted.rest };
    return { module, component: own, path: module.name };
  });
}

/**
 * The modules of an adapter of one model, under their paths in it.
 *
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for adapters of several parts, which one file of the layout cannot tell apart
 */
export function modulesOfOneModel(adapter: Adapter, target: string): AdapterModule[] {
  const placed = placeModules(adapter);
  const named = placed.filter(({ module, path }) => path !== module.name);
  if (named.length === 0) return placed.map(({ module }) => module);
  const components = new Set(placed.map(({ module, component, path }) => (path === module.name ? "" : component)));
  if (components.size > 1) {
    const names = summarise([...components].map((name) => (name === "" ? "others" : quote(name ?? ""))));
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", `${target} is for one model, the adapter has ${names}`, {
      file: adapter.path,
      hint: "--to diffusers and --to kohya hold several parts in one file",
    });
  }
  return placed.map(({ module, path }) => ({ ...module, name: path }));
}

/** The modules of a language model. @throws {UnsupportedError} UNSUPPORTED_ADAPTER for parts of image pipelines */
export function languageModules(adapter: Adapter, target: string): readonly AdapterModule[] {
  const [first] = placeModules(adapter).filter(({ component }) => component !== undefined);
  if (first === undefined) return adapter.modules;
  const problem = `${target} is for language models, not for the ${first.component} of an image pipeline`;
  throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file: adapter.path, subject: first.module.name });
}
