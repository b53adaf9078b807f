/**
 * Changes of a model → the files of the output, piece by piece, with the place of each tensor that is changed or new.
 *
 * Tensors that change are put, in this order of preference, where they lie; behind everything else in a data file, where
 * they lay outside or are large; into the model anew.
 */

import { sameShape } from "../../core/shape.ts";
import { DataFiles } from "./data-files.ts";
import {
  byteLengthOfTensor,
  checksumPiece,
  type ExternalPlace,
  externalEntryPieces,
  initialiserPieces,
  type NewTensor,
  payloadPiece,
  tensorContent,
  textPiece,
} from "./encode-piece.ts";
import { withWire } from "./lazy.ts";
import type { OnnxGraph, OnnxModel, OnnxTensor } from "./model.ts";
import { type OutputFile, type Piece, placePieces } from "./pieces.ts";
import { GRAPH, TENSOR_CONTENT_FIELDS } from "./schema.ts";
import { type Splice, spliceFile } from "./splice.ts";
import { tensorsOf } from "./traverse.ts";
import type { WireReader } from "./wire-reader.ts";

/** Where the bytes of a tensor lie in the output. */
export interface PlacedTensor {
  /** Name of the file. */
  readonly file: string;
  /** From the start of the file, in bytes. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface OnnxLayout {
  /** The data files, then the model: the order in which they are to be put in place. */
  readonly files: readonly OutputFile[];
  /** The tensors that are changed or new, by key. */
  readonly tensors: ReadonlyMap<string, PlacedTensor>;
}

/** An initialiser that the file does not have yet. */
export interface AddedInitialiser {
  readonly name: string;
  readonly key: string;
  readonly graph: OnnxGraph;
  readonly tensor: NewTensor;
}

export interface Changes {
  readonly tensors: ReadonlyMap<string, NewTensor>;
  readonly added: readonly AddedInitialiser[];
  /** Everything that concerns no tensor. */
  readonly splices: readonly Splice[];
  /** New tensors from this size on go to a data file. */
  readonly externalBytes: number;
  /** Tensors of the model from this size on leave it. */
  readonly movesInline: number;
}

export function planLayout(model: OnnxModel, modelName: string, changes: Changes): OnnxLayout {
  const data = new DataFiles(model, modelName);
  const splices = [...changes.splices];
  const rewritten = new Set<OnnxTensor>();
  withWire(model, (wire) => {
    for (const [key, tensor] of changes.tensors) {
      const constant = model.constants.get(key);
      const old = constant?.tensor;
      if (old === undefined || !("external" in old)) continue;
      // Not every reader looks for external data in the attribute of a node.
      const mayLeave = constant?.kind === "initialiser" && old.external === undefined;
      const leaves = mayLeave && byteLengthOfTensor(tensor, key) >= changes.movesInline;
      const inPlace = leaves ? undefined : overwrite(key, old, tensor, data);
      if (inPlace !== undefined) {
        splices.push(...inPlace);
        continue;
      }
      rewritten.add(old);
      const place = leaves || old.external !== undefined ? placeOutside(key, tensor, data, old) : undefined;
      splices.push(...rewrite(wire, old, tensorContent(key, tensor, place)));
    }
  });
  for (const { name, key, graph, tensor } of changes.added) {
    const within = graph.parts.at(-1) ?? model.span;
    const isOutside = byteLengthOfTensor(tensor, key) >= changes.externalBytes;
    const place = isOutside ? placeOutside(key, tensor, data, undefined) : undefined;
    const content = initialiserPieces(GRAPH.initialiser >>> 3, name, tensorContent(key, tensor, place));
    splices.push({ within, start: within.end, end: within.end, content });
  }
  splices.push(...entrySplices(model, data, rewritten));
  const files = [...data.layOut(), placePieces(modelName, spliceFile(model.path, model.span, splices))];
  return { files, tensors: tensorPlaces(files) };
}

/** Puts the values where the old ones lie; `undefined` where other bytes would not fit or belong to another tensor, too. */
function overwrite(key: string, old: OnnxTensor, tensor: NewTensor, data: DataFiles): Splice[] | undefined {
  if (old.data.dtype !== tensor.dtype || !sameShape(old.data.shape, tensor.shape)) return undefined;
  const { payload, external } = old;
  if (old.data.byteLength === 0) return [];
  const content = [payloadPiece(key, tensor)];
  if (payload !== undefined) {
    const within = old.parts.find(({ start, end }) => start <= payload.start && payload.end <= end);
    return within === undefined ? undefined : [{ within, ...payload, content }];
  }
  if (external === undefined || data.isShared(old)) return undefined;
  for (const piece of content) data.overwrite(external.path, external.offset, piece);
  return [];
}

function placeOutside(key: string, tensor: NewTensor, data: DataFiles, old: OnnxTensor | undefined): ExternalPlace {
  return { ...data.add(payloadPiece(key, tensor)), withChecksum: old?.external?.checksum !== undefined };
}

/** Takes type, shape and values out of a tensor and puts others at its end; name, doc string and unknown fields stay. */
function rewrite(wire: WireReader, { parts }: OnnxTensor, content: readonly Piece[]): Splice[] {
  const [within] = parts;
  if (within === undefined) return [];
  const ranges: { start: number; end: number }[] = [];
  for (const { tag, tagStart, end } of wire.fields([within])) {
    if (!TENSOR_CONTENT_FIELDS.has(tag >>> 3)) continue;
    const last = ranges.at(-1);
    // Values that are not packed are a field each: one range for all.
    if (last?.end === tagStart) last.end = end;
    else ranges.push({ start: tagStart, end });
  }
  return [
    ...ranges.map((range) => ({ within, ...range, content: [] })),
    { within, start: within.end, end: within.end, content },
  ];
}

/** Entries of external data that no longer fit: names of data files that changed, checksums of those whose bytes did. */
function entrySplices(model: OnnxModel, data: DataFiles, rewritten: ReadonlySet<OnnxTensor>): Splice[] {
  const splices: Splice[] = [];
  for (const tensor of tensorsOf(model)) {
    const { external } = tensor;
    if (external === undefined || rewritten.has(tensor)) continue;
    const replace = (key: string, value: Piece) => {
      const field = external.entries.get(key);
      if (field === undefined) return;
      splices.push({
        within: field.message,
        start: field.tagStart,
        end: field.end,
        content: externalEntryPieces(key, value),
      });
    };
    const name = data.nameOf(external.path);
    if (name !== external.location) replace("location", textPiece(name));
    if (external.checksum !== undefined && data.isChanged(external.path)) replace("checksum", checksumPiece(name));
  }
  return splices;
}

function tensorPlaces(files: readonly OutputFile[]): Map<string, PlacedTensor> {
  const places = new Map<string, PlacedTensor>();
  for (const { name, pieces } of files) {
    for (const { tensor, offset, byteLength } of pieces) {
      if (tensor !== undefined) places.set(tensor, { file: name, offset, byteLength });
    }
  }
  return places;
}
