/**
 * Replacing ranges inside nested protobuf messages: the lengths of the messages around them follow, everything else is
 * copied as it is, known or not.
 *
 * A message whose length stays keeps its tag and length as they are spelled in the file.
 */

import protobuf from "protobufjs/minimal.js";
import { appendPiece, byteLengthOf, bytesPiece, copyPiece, type Piece } from "./pieces.ts";
import { LENGTH_DELIMITED, type Span } from "./wire.ts";

/** Puts `content` in place of bytes `start` to `end`, which lie directly inside a message. */
export interface Splice {
  readonly within: Span;
  readonly start: number;
  readonly end: number;
  readonly content: readonly Piece[];
}

interface Item {
  readonly start: number;
  readonly end: number;
  readonly change: Splice | Span;
}

/** The whole file with all splices applied. One inside of a range that another one replaces is dropped with it. */
export function spliceFile(path: string, root: Span, splices: readonly Splice[]): Piece[] {
  const items = new Map<Span, Item[]>();
  for (const splice of splices) listIn(items, splice.within).push({ ...splice, change: splice });
  const touched = new Set<Span>();
  for (const { within } of splices) {
    for (let span = within; span.parent !== undefined && !touched.has(span); span = span.parent) {
      touched.add(span);
      listIn(items, span.parent).push({ start: span.tagStart, end: span.end, change: span });
    }
  }
  return render(path, root, items);
}

function listIn(items: Map<Span, Item[]>, span: Span): Item[] {
  const list = items.get(span) ?? [];
  items.set(span, list);
  return list;
}

/** The fields of a message after its splices, without its own tag and length. */
function render(path: string, span: Span, items: ReadonlyMap<Span, readonly Item[]>): Piece[] {
  const pieces: Piece[] = [];
  let at = span.start;
  // An insertion comes before the replacement of what stands behind it; `sort` keeps the order of equals.
  const sorted = [...(items.get(span) ?? [])].sort((a, b) => a.start - b.start || a.end - b.end);
  for (const { start, end, change } of sorted) {
    if (start < at) continue;
    appendPiece(pieces, copyPiece(path, at, start));
    at = end;
    if ("content" in change) {
      for (const piece of change.content) appendPiece(pieces, piece);
      continue;
    }
    const inner = render(path, change, items);
    const byteLength = byteLengthOf(inner);
    if (byteLength === change.end - change.start) appendPiece(pieces, copyPiece(path, change.tagStart, change.start));
    else appendPiece(pieces, bytesPiece(messageHeader(change.field, byteLength)));
    for (const piece of inner) appendPiece(pieces, piece);
  }
  appendPiece(pieces, copyPiece(path, at, span.end));
  return pieces;
}

/** Tag and length of a length-delimited field. */
export function messageHeader(field: number, byteLength: number): Uint8Array {
  return protobuf.Writer.create()
    .uint32((field << 3) | LENGTH_DELIMITED)
    .uint64(byteLength)
    .finish();
}
