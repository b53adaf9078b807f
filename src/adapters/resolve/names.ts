/**
 * The path of a parameter as the training framework saw it → the tensor of the base.
 *
 * Tried in turn, and the first that hits decides: the name itself; the name after the renamings of the architecture; the
 * same without the wrappers that versions of transformers and kinds of models put around the language model; one name
 * being the end of the other, from a dot on. Several hits at one stage are never guessed between.
 */

import type { TensorData } from "../../formats/tensor-store.ts";
import { applyRenames, type Rename } from "../architecture/renames.ts";

export type NameMatch =
  | { readonly kind: "one"; readonly tensor: TensorData }
  | { readonly kind: "many"; readonly names: readonly string[] }
  | { readonly kind: "none" };

/** A layer that the base stores as a part of one tensor (`index`), or as the tensors on top of each other. */
export interface FusedTensors {
  readonly tensors: readonly TensorData[];
  readonly index: number | undefined;
  /** Relative numbers of rows of the parts. */
  readonly shares: readonly number[];
}

/** How the names of an adapter find tensors of the base. */
export interface NameFinder {
  readonly find: (path: string) => NameMatch;
  /** A layer that the base fuses with others or splits, by the path of its module. */
  readonly findFused?: (path: string) => FusedTensors | undefined;
}

/** Leading parts that say nothing about which tower of a model a tensor belongs to. */
const WRAPPERS: ReadonlySet<string> = new Set(["base_model", "model", "language_model", "thinker", "llm"]);

/** Parts that the end of a longer name may lack; real ones lack at most three. */
const MAX_MISSING_PARTS = 4;

const NONE: NameMatch = { kind: "none" };

export class NameIndex implements NameFinder {
  readonly #tensors: ReadonlyMap<string, TensorData>;
  readonly #renames: readonly Rename[];
  #byRunningName: ReadonlyMap<string, readonly TensorData[]> | undefined;
  #byInnerName: ReadonlyMap<string, readonly TensorData[]> | undefined;
  #byEnd: ReadonlyMap<string, readonly TensorData[]> | undefined;

  /** @param tensors of the base, and those that it would have (the other end of a tied embedding) */
  constructor(tensors: ReadonlyMap<string, TensorData>, renames: readonly Rename[]) {
    this.#tensors = tensors;
    this.#renames = renames;
  }

  find(path: string): NameMatch {
    const exact = this.#tensors.get(path);
    if (exact !== undefined) return { kind: "one", tensor: exact };

    this.#byRunningName ??= this.#index((name) => [applyRenames(name, this.#renames)]);
    const running = applyRenames(path, this.#renames);
    const renamed = matchOf(this.#byRunningName.get(running));
    if (renamed.kind !== "none") return renamed;

    this.#byInnerName ??= this.#index((name) => [withoutWrappers(applyRenames(name, this.#renames))]);
    const inner = matchOf(this.#byInnerName.get(withoutWrappers(running)));
    if (inner.kind !== "none") return inner;

    this.#byEnd ??= this.#index((name) => ends(applyRenames(name, this.#renames)));
    const longer = (this.#byEnd.get(running) ?? []).filter(
      ({ name }) => !losesTower(applyRenames(name, this.#renames), running),
    );
    const byRunningName = this.#byRunningName;
    const shorter = ends(running).flatMap((end) => (losesTower(running, end) ? [] : (byRunningName.get(end) ?? [])));
    return matchOf([...longer, ...shorter]);
  }

  #index(keysOf: (name: string) => readonly string[]): ReadonlyMap<string, readonly TensorData[]> {
    const index = new Map<string, TensorData[]>();
    for (const tensor of this.#tensors.values()) {
      for (const key of keysOf(tensor.name)) {
        const list = index.get(key);
        if (list === undefined) index.set(key, [tensor]);
        else list.push(tensor);
      }
    }
    return index;
  }
}

export function matchOf(tensors: readonly TensorData[] | undefined): NameMatch {
  const [first, ...rest] = tensors ?? [];
  if (first === undefined) return NONE;
  return rest.length === 0
    ? { kind: "one", tensor: first }
    : { kind: "many", names: [first, ...rest].map((t) => t.name) };
}

/** `model.language_model.layers.0.x`, `language_model.model.layers.0.x` → `layers.0.x`. */
export function withoutWrappers(name: string): string {
  const parts = name.split(".");
  const firstIndex = parts.findIndex((part) => /^\d+$/.test(part));
  const prefix = parts.slice(0, firstIndex < 0 ? parts.length : firstIndex);
  // CLIP and SigLIP towers lost their own wrapper.
  const kept = prefix.filter(
    (part, at) => !WRAPPERS.has(part) && !(part === "vision_model" && prefix[at - 1] === "vision_tower"),
  );
  return [...kept, ...parts.slice(prefix.length)].join(".");
}

/** The name without its first part, without its first two …; at least two stay. */
function ends(name: string): string[] {
  const parts = name.split(".");
  const out: string[] = [];
  for (let missing = 1; missing <= Math.min(MAX_MISSING_PARTS, parts.length - 2); missing++) {
    out.push(parts.slice(missing).join("."));
  }
  return out;
}

/** `vision_tower.encoder.layers.0.x` is not `encoder.layers.0.x`, which may be of the text: its end names no tower. */
function losesTower(name: string, end: string): boolean {
  return TOWER.test(name.slice(0, name.length - end.length)) && !TOWER.test(end);
}

const TOWER = /vision|visual|image|audio|speech/;
