/** What a merge wrote down of itself, which travels with the weights into any container. */

import { PROVENANCE_KEY } from "../../merge/index.ts";

/** Entries of metadata: one, or none where the weights were not merged. */
export function mergeRecord(metadata: ReadonlyMap<string, string>): readonly (readonly [key: string, text: string])[] {
  const record = metadata.get(PROVENANCE_KEY);
  return record === undefined ? [] : [[PROVENANCE_KEY, record]];
}
