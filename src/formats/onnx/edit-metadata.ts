/**
 * Entries of `ModelProto.metadata_props`, replaced where they stand or added at the end of the file.
 */

import { entryPieces, textPiece } from "./encode-piece.ts";
import { withWire } from "./lazy.ts";
import type { OnnxModel } from "./model.ts";
import { MODEL } from "./schema.ts";
import type { Splice } from "./splice.ts";
import { readEntry } from "./walk-tensor.ts";

export function metadataSplices(model: OnnxModel, entries: ReadonlyMap<string, string>): Splice[] {
  if (entries.size === 0) return [];
  const within = model.span;
  const places = new Map<string, { readonly start: number; readonly end: number }>();
  withWire(model, (wire) => {
    for (const field of wire.fields([within])) {
      // Of entries with one key the last counts.
      if (field.tag === MODEL.metadata)
        places.set(readEntry(wire, wire.child(field)).key, { start: field.tagStart, end: field.end });
    }
  });
  return [...entries].map(([key, value]) => {
    const { start, end } = places.get(key) ?? { start: within.end, end: within.end };
    return { within, start, end, content: entryPieces(MODEL.metadata >>> 3, key, textPiece(value)) };
  });
}
