/**
 * Rows of query and key factors as llama.cpp stores them for Llama → as Hugging Face has them.
 *
 * Rotary embeddings turn pairs of rows. Hugging Face pairs row j of a head with row j + d/2, llama.cpp with the next one:
 * stored [heads, d/2, 2, …] is [heads, 2, d/2, …] there (`LlamaModel.permute` of llama.cpp's converter, which also
 * reorders the adapter). How many heads there are is known from the base's config.json only.
 */

import { DTYPE_BITS } from "../../core/dtype.ts";
import type { JsonObject } from "../../core/json.ts";
import { readTensorBytes } from "../../formats/byte-source.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { AdapterModule } from "../adapter.ts";
import { modelTypes } from "../architecture/model-types.ts";
import { problem } from "./report.ts";

/** The models that the converter reorders under the architecture `llama`. */
export const REORDERED_TYPES = ["llama", "mistral", "mixtral"];

/**
 * The module with the rows of `up` in order.
 *
 * @throws {Misfit} where config.json does not tell the heads
 */
export function restoreHeads(module: AdapterModule, config: JsonObject | undefined): AdapterModule {
  const { delta, interleavedHeads, ...rest } = module;
  if (interleavedHeads === undefined || delta.kind !== "lora") return module;
  const types = modelTypes(config);
  if (!REORDERED_TYPES.some((type) => types.has(type))) {
    const expected = `a base whose config.json names one of ${REORDERED_TYPES.join(", ")}`;
    throw problem(`its rows are in llama.cpp's order for Llama, expected ${expected}`);
  }
  const heads = headCount(config, interleavedHeads);
  if (heads === undefined) {
    const key = headKey(config, interleavedHeads);
    throw problem(`its rows are ordered by heads, expected ${key} in the config.json of the base`);
  }
  const [rows = 0, columns = 0] = delta.up.shape;
  if (rows % (2 * heads) !== 0) throw problem(`expected rows for ${heads} heads of an even size, got ${rows}`);
  return { ...rest, delta: { ...delta, up: reorder(delta.up, rows / heads, columns) } };
}

/** How many heads the rows of queries or keys belong to; `undefined` where config.json does not tell. */
export function headCount(config: JsonObject | undefined, side: "query" | "key"): number | undefined {
  const text = config?.get("text_config");
  const own = text instanceof Map ? (text as JsonObject) : config;
  const heads = own?.get(headKey(own, side));
  return typeof heads === "number" && Number.isInteger(heads) && heads > 0 ? heads : undefined;
}

function headKey(config: JsonObject | undefined, side: "query" | "key"): string {
  const grouped = side === "key" && (config?.get("num_key_value_heads") ?? undefined) !== undefined;
  return grouped ? "num_key_value_heads" : "num_attention_heads";
}

/** Row (h, j, half) of [heads, size / 2, 2] becomes row (h, half, j); same dtype, in memory. */
function reorder(tensor: TensorData, size: number, columns: number): TensorData {
  const stored = readTensorBytes(tensor);
  const bytes = new Uint8Array(stored.length);
  const rowBytes = (columns * DTYPE_BITS[tensor.dtype]) / 8;
  for (let row = 0; row * rowBytes < stored.length; row++) {
    const inHead = row % size;
    const target = row - inHead + (inHead % 2) * (size / 2) + Math.floor(inHead / 2);
    bytes.set(stored.subarray(row * rowBytes, (row + 1) * rowBytes), target * rowBytes);
  }
  return { ...tensor, source: { kind: "memory", bytes } };
}
