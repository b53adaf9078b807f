/**
 * Names of image pipelines → tensors of the base: flat ones of kohya and LyCORIS (`lora_unet_mid_block_attentions_0_proj_in`)
 * and dotted ones that start with a part of the pipeline (`unet.mid_block.attentions.0.proj_in`).
 *
 * The dots of a flat name cannot be told from its own underscores, so it is never taken apart: the paths of the base are
 * made flat and compared. A base may hold one part or several, under original names or those of diffusers; its paths are
 * known by both. Several hits are never guessed between.
 */

import type { TensorData } from "../../formats/tensor-store.ts";
import { otherPaths, partsOf, wholesOf } from "../architecture/pipeline/aliases.ts";
import { dottedPart, flatPart, PART_PREFIXES } from "../architecture/pipeline/parts.ts";
import { applyRenames, type Rename } from "../architecture/renames.ts";
import { type FusedTensors, matchOf, type NameFinder, NameIndex, type NameMatch } from "./names.ts";

export class PipelineNames implements NameFinder {
  /** By path, a dot and the parameter; flat paths too. */
  readonly #byName = new Map<string, Set<TensorData>>();
  /** Layers that the base fuses or splits, by path, flat or not. */
  readonly #fused = new Map<string, FusedTensors>();
  /** For names that belong to no part of a pipeline. */
  readonly #others: NameFinder;
  readonly #own: string | undefined;

  /**
   * @param renames names on disk → in the running model, which flat names are made of
   * @param own the part that names without one belong to
   */
  constructor(tensors: ReadonlyMap<string, TensorData>, renames: readonly Rename[], own?: string) {
    this.#others = new NameIndex(tensors, renames);
    this.#own = own;
    const weights = new Map<string, TensorData>();
    for (const tensor of tensors.values()) {
      const { path, parameter } = splitName(tensor.name);
      this.#add(path, parameter, tensor);
      const running = splitName(applyRenames(tensor.name, renames));
      this.#add(running.path, running.parameter, tensor);
      for (const prefix of PART_PREFIXES) {
        const inner = withoutPrefix(path, prefix);
        if (inner !== undefined)
          for (const other of otherPaths(inner)) this.#add(join(prefix, other), parameter, tensor);
      }
      if (parameter === "weight") weights.set(path, tensor);
    }
    for (const path of weights.keys()) this.#addFused(path, weights);
  }

  find(path: string): NameMatch {
    const keys = candidates(this.#withPart(path));
    const found = new Set(keys.flatMap((key) => [...(this.#byName.get(key) ?? [])]));
    return keys.length > 0 && found.size > 0 ? matchOf([...found]) : this.#others.find(path);
  }

  /** @param path of a module, without parameter */
  findFused(path: string): FusedTensors | undefined {
    return candidates(this.#withPart(path))
      .map((key) => this.#fused.get(key))
      .find((fused) => fused !== undefined);
  }

  #withPart(path: string): string {
    return this.#own === undefined || dottedPart(path) !== undefined ? path : `${this.#own}.${path}`;
  }

  #add(path: string, parameter: string, tensor: TensorData): void {
    for (const key of new Set([`${path}.${parameter}`, `${flat(path)}.${parameter}`])) {
      this.#byName.set(key, (this.#byName.get(key) ?? new Set()).add(tensor));
    }
  }

  #addFused(path: string, weights: ReadonlyMap<string, TensorData>): void {
    for (const prefix of PART_PREFIXES) {
      const inner = withoutPrefix(path, prefix);
      const tensor = weights.get(path);
      if (inner === undefined || tensor === undefined) continue;
      const own = partsOf(inner);
      for (const [index, part] of own?.parts.entries() ?? []) {
        this.#set(join(prefix, part), { tensors: [tensor], index, shares: own?.shares ?? [] });
      }
      for (const { whole, parts, shares, index } of wholesOf(inner)) {
        const tensors = parts.map((part) => weights.get(join(prefix, part)));
        if (index !== 0 || tensors.includes(undefined)) continue;
        const present = tensors.filter((part) => part !== undefined);
        this.#set(join(prefix, whole), { tensors: present, index: undefined, shares });
      }
    }
  }

  #set(path: string, fused: FusedTensors): void {
    this.#fused.set(path, fused);
    this.#fused.set(flat(path), fused);
  }
}

/** What a name may be called in the base: after every prefix that its part may have there. */
function candidates(path: string): string[] {
  const ofFlat = flatPart(path);
  if (ofFlat !== undefined) return ofFlat.part.prefixes.map((prefix) => join(flat(prefix), ofFlat.rest, "_"));
  const { part, rest } = dottedPart(path) ?? {};
  return part === undefined || rest === undefined ? [] : part.prefixes.map((prefix) => join(prefix, rest));
}

/** OpenCLIP stores the joined projection as a parameter of the attention. */
function splitName(name: string): { readonly path: string; readonly parameter: string } {
  const [, attention, parameter] = /^(.*\.attn\.in_proj)_(weight|bias)$/.exec(name) ?? [];
  if (attention !== undefined && parameter !== undefined) return { path: attention, parameter };
  const dot = name.lastIndexOf(".");
  return { path: name.slice(0, Math.max(dot, 0)), parameter: name.slice(dot + 1) };
}

function withoutPrefix(path: string, prefix: string): string | undefined {
  if (prefix === "") return path;
  return path.startsWith(`${prefix}.`) ? path.slice(prefix.length + 1) : undefined;
}

function join(prefix: string, path: string, by = "."): string {
  return prefix === "" ? path : prefix + by + path;
}

function flat(path: string): string {
  return path.replaceAll(".", "_");
}
