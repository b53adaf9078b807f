/**
 * The settings that tell mlx-lm which layers to adapt: `keys` inside of each of the last `num_layers` layers, or full paths.
 *
 * mlx-lm adapts `model.layers[-num_layers:]` where a path inside the layer is a key, and every module whose full path is
 * one (`linear_to_lora_layers`). Tensors of modules that it did not adapt are ignored without a word.
 */

import type { JsonObject } from "../../../core/json.ts";
import { compareCodePoints } from "../../../core/text.ts";

export interface LayerKeys {
  readonly keys: readonly string[];
  /** `num_layers` */
  readonly layers: number;
}

/** @param config config.json of the base, which knows how many layers there are */
export function layerKeys(names: readonly string[], config: JsonObject | undefined): LayerKeys {
  const inner = new Map<number, Set<string>>();
  const outside: string[] = [];
  for (const name of names) {
    const [, number, path] = LAYER.exec(name) ?? [];
    if (number === undefined || path === undefined) outside.push(name);
    else inner.set(Number(number), (inner.get(Number(number)) ?? new Set()).add(path));
  }
  const numbers = [...inner.keys()];
  const all = new Set([...inner.values()].flatMap((paths) => [...paths]));
  const first = numbers.reduce((least, number) => Math.min(least, number), Number.POSITIVE_INFINITY);
  const known = config?.get("num_hidden_layers") ?? config?.get("n_layer");
  const total = typeof known === "number" ? known : first === 0 ? numbers.length : undefined;
  const uniform = total !== undefined && numbers.length === total - first && [...inner.values()].every(sameSize(all));
  // Full paths hit what they name and nothing else, however many layers there are.
  const keys = uniform ? [...all, ...outside] : [...names];
  return { keys: keys.sort(compareCodePoints), layers: uniform ? numbers.length : (total ?? numbers.length) };
}

function sameSize(all: ReadonlySet<string>): (paths: ReadonlySet<string>) => boolean {
  return (paths) => paths.size === all.size;
}

const LAYER = /^(?:.*\.)?(?:layers|h)\.(\d+)\.(.+)$/;
