/**
 * Where a merged model came from, as one metadata entry of its weights: tool, inputs by hash, scales.
 *
 * Nothing in it depends on paths, time, workers or the machine, so identical runs give identical bytes. Hashes are those
 * of the files (`sha256sum`), because the hub names large files by them.
 */

import { basename } from "node:path";
import type { Adapter } from "../adapters/adapter.ts";
import type { Range } from "../core/range.ts";
import { rangeOf } from "../core/range.ts";
import { VERSION } from "../core/version.ts";
import type { Model } from "../formats/model.ts";
import type { FileIdentity } from "../formats/tensor-store.ts";
import { type ChosenMethod, usedSettings } from "./combine/options.ts";

/** Key of the entry in the safetensors `__metadata__`. */
export const PROVENANCE_KEY = "lora_tool";

export interface HashedFile {
  /** Basename. */
  readonly name: string;
  readonly sha256: string;
}

export interface WeightedAdapter {
  readonly adapter: Adapter;
  /** Multiplies the delta. */
  readonly weight: number;
}

/** Stands for a hash that is not known yet; of the same length, so that a header keeps its size. */
export const PENDING_SHA256 = "0".repeat(64);

/** The entry's text: compact JSON with a fixed order of keys. */
export function provenance(
  model: Model,
  adapters: readonly WeightedAdapter[],
  method: ChosenMethod,
  sha256: (path: string) => string,
): string {
  const hashed = (files: readonly FileIdentity[]): HashedFile[] =>
    files.map(({ path }) => ({ name: basename(path), sha256: sha256(path) }));
  return JSON.stringify({
    version: VERSION,
    method: method.name,
    ...usedSettings(method),
    base: hashed(model.store.files),
    adapters: adapters.map(({ adapter, weight }) => ({
      files: hashed(adapter.files),
      method: adapter.method,
      weight,
      modules: adapter.modules.length,
      scale: scaleRange(adapter),
    })),
  });
}

/** Lowest and highest effective scale of an adapter's modules; [1, 1] for one without scaled modules. */
export function scaleRange(adapter: Adapter): Range {
  const scales = adapter.modules.filter((module) => module.delta.kind !== "ia3").map((module) => module.scale);
  return scales.length === 0 ? [1, 1] : rangeOf(scales);
}
