/**
 * `model.safetensors.index.json`: which shard holds which tensor, checked against the shards themselves.
 */

import { FormatError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/json.ts";
import { parseJsonObject } from "../../core/json-parser.ts";
import { MAX_INDEX_BYTES, MAX_SHARDS } from "../../core/limits.ts";
import { escapeText, quote, summarise } from "../../core/text.ts";
import { readSmallFile } from "../byte-source.ts";
import type { FileIdentity, TensorStore } from "../tensor-store.ts";

export interface ShardedIndex {
  /** Shard name by tensor name. */
  readonly shardOf: ReadonlyMap<string, string>;
  /** Names of the shards, sorted. */
  readonly shards: readonly string[];
  /** What `metadata.total_size` says, where it is a number. */
  readonly totalBytes: number | undefined;
  readonly identity: FileIdentity;
}

/** A plain file name: no folder, no drive, nothing that a file system reads as a path. */
const PLAIN_NAME = /^(?!\.{1,2}$)[^/\\:\0]{1,255}$/;

/** Reads the index alone. */
export function readShardedIndex(path: string, shownPath = path): ShardedIndex {
  const invalid = (problem: string, subject?: string) =>
    new FormatError("INVALID_INDEX", problem, { file: shownPath, ...(subject === undefined ? {} : { subject }) });
  const { bytes, identity } = readSmallFile(path, MAX_INDEX_BYTES, shownPath);
  const index = parseJsonObject(bytes, { file: shownPath });
  const map = index.get("weight_map");
  if (!(map instanceof Map) || map.size === 0) throw invalid("weight_map must map tensor names to shards");
  const shardOf = new Map<string, string>();
  for (const [name, shard] of map as JsonObject) {
    if (typeof shard !== "string" || !PLAIN_NAME.test(shard)) {
      throw invalid("its shard must be the plain name of a file beside the index", name);
    }
    if (!shard.endsWith(".safetensors")) {
      throw new FormatError("WRONG_FORMAT", `${quote(shard)} is not a .safetensors file`, {
        file: shownPath,
        subject: name,
        hint: "pickle weights are never opened: save the model as safetensors",
      });
    }
    shardOf.set(name, shard);
  }
  const shards = [...new Set(shardOf.values())].sort();
  if (shards.length > MAX_SHARDS) throw invalid(`expected at most ${MAX_SHARDS} shards, got ${shards.length}`);
  const metadata = index.get("metadata");
  const total = metadata instanceof Map ? metadata.get("total_size") : undefined;
  return { shardOf, shards, totalBytes: typeof total === "number" ? total : undefined, identity };
}

/**
 * Checks that index and shards tell the same: every tensor in the shard that the index names, and in no other.
 *
 * @returns warnings
 */
export function checkIndex(index: ShardedIndex, stores: ReadonlyMap<string, TensorStore>, file: string): string[] {
  const problems: string[] = [];
  for (const [name, shard] of index.shardOf) {
    if (!stores.get(shard)?.tensors.has(name)) problems.push(`${quote(name)} is not in ${quote(shard)}`);
  }
  let bytes = 0;
  for (const [shard, store] of stores) {
    for (const tensor of store.tensors.values()) {
      bytes += tensor.byteLength;
      const owner = index.shardOf.get(tensor.name);
      if (owner === undefined) problems.push(`${quote(tensor.name)} in ${quote(shard)} is not in the index`);
      else if (owner !== shard) problems.push(`${quote(tensor.name)} is in ${quote(shard)}, expected ${quote(owner)}`);
    }
  }
  if (problems.length > 0) {
    throw new FormatError("INVALID_INDEX", `index and shards contradict each other: ${summarise(problems)}`, { file });
  }
  if (index.totalBytes === bytes) return [];
  const said = index.totalBytes === undefined ? "no number" : `${index.totalBytes} bytes`;
  return [`${escapeText(file)}: total_size says ${said}, the shards hold ${bytes} bytes`];
}
