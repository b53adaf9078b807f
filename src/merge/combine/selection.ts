/**
 * Which elements of each delta take part: made ready in passes over the tensor, then applied tile by tile, in place.
 */

import { fillUniform, philoxKey } from "../../core/random.ts";
import type { MethodSettings, Selection } from "./method.ts";
import { Threshold } from "./threshold.ts";

/** The deltas of some elements: those from `start` on of the whole tensor, one array for each adapter. */
export interface DeltaTile {
  readonly start: number;
  readonly deltas: readonly Float32Array[];
}

/** Visits all tiles of a tensor, with the same numbers in each pass. */
export type ForEachDeltaTile = (visit: (tile: DeltaTile) => void) => Promise<void>;

/** Sets what is not selected to 0. */
export type Select = (tile: DeltaTile) => void;

interface SelectionContext {
  readonly settings: MethodSettings;
  /** Positions of the adapters that the deltas belong to. */
  readonly adapters: readonly number[];
  /** What the random choice follows, besides seed, adapter and element. */
  readonly name: string;
  readonly forEachTile: ForEachDeltaTile;
  /** Elements of each delta; the tensor may be larger, and holds zeros where it has none. */
  readonly sizes: readonly number[];
}

export async function prepareSelection(selection: Selection, context: SelectionContext): Promise<Select> {
  const { density } = context.settings;
  if (selection === "all" || density === 1) return () => {};
  return selection === "random" ? selectRandom(context) : selectLargest(context);
}

async function selectLargest({ settings, adapters, forEachTile, sizes }: SelectionContext): Promise<Select> {
  const thresholds = adapters.map(() => new Threshold());
  await forEachTile(({ deltas }) => {
    for (const [at, values] of deltas.entries()) thresholds[at]?.count(values);
  });
  for (const [at, one] of thresholds.entries()) one.choose(Math.floor(settings.density * (sizes[at] ?? 0)));
  await forEachTile(({ deltas }) => {
    for (const [at, values] of deltas.entries()) thresholds[at]?.refine(values);
  });
  const limits = thresholds.map(({ value }) => value);
  return ({ deltas }) => {
    for (const [at, values] of deltas.entries()) {
      const limit = limits[at] ?? 0;
      for (let index = 0; index < values.length; index++) {
        if (Math.abs(values[index] ?? 0) < limit) values[index] = 0;
      }
    }
  };
}

/** Each number is drawn by seed, adapter, tensor and position alone, so tiles and workers do not matter. */
function selectRandom({ settings, adapters, name }: SelectionContext): Select {
  const { density, seed } = settings;
  const keys = adapters.map((adapter) => philoxKey(seed, `dare ${adapter} ${name}`));
  let drawn = new Float32Array();
  return ({ start, deltas }) => {
    for (const [at, values] of deltas.entries()) {
      const key = keys[at];
      if (key === undefined) continue;
      if (drawn.length < values.length) drawn = new Float32Array(values.length);
      fillUniform(drawn.subarray(0, values.length), key, 0, start);
      for (let index = 0; index < values.length; index++) {
        values[index] = (drawn[index] ?? 0) < density ? (values[index] ?? 0) / density : 0;
      }
    }
  };
}
