/** Which blocks see only a window: `layer_types` of config.json, or the family's own rule where it is absent. */

import type { ConfigReader } from "../config-reader.ts";

const LAYER_TYPES = ["full_attention", "sliding_attention"] as const;

export type LayerType = (typeof LAYER_TYPES)[number];

/** @param slides whether a block has a window by the family's rule */
export function readLayerTypes(
  config: ConfigReader,
  blocks: number,
  slides: (block: number) => boolean,
): readonly LayerType[] {
  const given = config.texts("layer_types", blocks, LAYER_TYPES);
  return given ?? Array.from({ length: blocks }, (_, block) => LAYER_TYPES[slides(block) ? 1 : 0]);
}

/** The window of each block: of those that slide `window`, which must then be there. */
export function windowsOf(
  config: ConfigReader,
  types: readonly LayerType[],
  window: number | undefined,
): (block: number) => number | undefined {
  if (window === undefined && types.includes("sliding_attention")) {
    throw config.invalid("sliding_window", "expected a whole number from 1 on, because layers slide");
  }
  return (block) => (types[block] === "sliding_attention" ? window : undefined);
}
