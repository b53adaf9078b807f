/**
 * The data files of an output: copies of the model's own with some ranges overwritten, and tensors added behind them.
 *
 * Names are chosen here: the plain name of a data file is kept while the model keeps its own name, anything else becomes
 * `<model>_data`, so that nothing in a file decides where something is written or what it is taken for.
 */

import { basename } from "node:path";
import { alignedOffset } from "./data-alignment.ts";
import type { OnnxModel, OnnxTensor } from "./model.ts";
import { appendPiece, copyPiece, type OutputFile, type Piece, type PlacedPiece, placePieces } from "./pieces.ts";
import { tensorsOf } from "./traverse.ts";

/** As exporters name data files; a file of such a name is never run or read as a setting by anything. */
const PLAIN_NAME = /^\w[\w .+@=,()-]{0,180}(?:[._]data(?:_\d+)?|\.bin|\.weights?|\.bias|\.raw)$/i;

interface DataFile {
  readonly name: string;
  /** The file that it starts as a copy of. */
  readonly path: string | undefined;
  readonly originalBytes: number;
  byteLength: number;
  readonly overwritten: PlacedPiece[];
  readonly added: PlacedPiece[];
}

export class DataFiles {
  readonly #byPath = new Map<string, DataFile>();
  readonly #modelName: string;
  readonly #shared: ReadonlySet<OnnxTensor>;
  #created: DataFile | undefined;

  constructor(model: OnnxModel, modelName: string) {
    this.#modelName = modelName;
    const tensors = [...tensorsOf(model)].filter(({ external }) => external !== undefined);
    this.#shared = findShared(tensors);
    const taken = new Set([modelName.toLowerCase()]);
    const keeps = modelName === basename(model.path);
    for (const { external } of tensors) {
      if (external === undefined || this.#byPath.has(external.path)) continue;
      const { path, location } = external;
      const isFree = keeps && PLAIN_NAME.test(location) && !taken.has(location.toLowerCase());
      const name = isFree ? location : freeName(modelName, taken);
      taken.add(name.toLowerCase());
      const originalBytes = model.dataFiles.get(path)?.size ?? 0;
      this.#byPath.set(path, { name, path, originalBytes, byteLength: originalBytes, overwritten: [], added: [] });
    }
  }

  /** Name in the output of a file of the model. */
  nameOf(path: string): string {
    return this.#byPath.get(path)?.name ?? "";
  }

  /** Whether another tensor uses some of the same bytes. */
  isShared(tensor: OnnxTensor): boolean {
    return this.#shared.has(tensor);
  }

  overwrite(path: string, offset: number, piece: Piece): void {
    this.#byPath.get(path)?.overwritten.push({ ...piece, offset });
  }

  /** Puts a tensor behind everything else in the model's first data file, or in a new one. */
  add(piece: Piece): { readonly file: string; readonly offset: number } {
    const [first] = this.#byPath.values();
    this.#created ??= first ?? {
      name: `${this.#modelName}_data`,
      path: undefined,
      originalBytes: 0,
      byteLength: 0,
      overwritten: [],
      added: [],
    };
    const file = this.#created;
    const offset = alignedOffset(file.byteLength, piece.byteLength);
    file.added.push({ ...piece, offset });
    file.byteLength = offset + piece.byteLength;
    return { file: file.name, offset };
  }

  /** Whether the bytes of a file of the model change, and with them its checksum. */
  isChanged(path: string): boolean {
    const file = this.#byPath.get(path);
    return file !== undefined && file.overwritten.length + file.added.length > 0;
  }

  layOut(): OutputFile[] {
    const all = [...this.#byPath.values()];
    if (this.#created !== undefined && this.#created.path === undefined) all.push(this.#created);
    return all.map(layOutFile);
  }
}

function layOutFile({ name, path, originalBytes, byteLength, overwritten, added }: DataFile): OutputFile {
  const pieces: Piece[] = [];
  let at = 0;
  for (const { offset, ...piece } of [...overwritten].sort((a, b) => a.offset - b.offset)) {
    appendPiece(pieces, copyPiece(path ?? "", at, offset));
    appendPiece(pieces, piece);
    at = offset + piece.byteLength;
  }
  if (path !== undefined) appendPiece(pieces, copyPiece(path, at, originalBytes));
  return { name, byteLength, pieces: [...placePieces(name, pieces).pieces, ...added] };
}

function freeName(modelName: string, taken: ReadonlySet<string>): string {
  for (let index = 0; ; index++) {
    const name = `${modelName}_data${index === 0 ? "" : `_${index}`}`;
    if (!taken.has(name.toLowerCase())) return name;
  }
}

/** Tensors whose ranges meet others in the same file. */
function findShared(tensors: readonly OnnxTensor[]): Set<OnnxTensor> {
  const shared = new Set<OnnxTensor>();
  const placed = tensors.flatMap((tensor) => {
    const { external, data } = tensor;
    return external === undefined || data.byteLength === 0
      ? []
      : [{ tensor, path: external.path, start: external.offset, end: external.offset + data.byteLength }];
  });
  placed.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : a.start - b.start));
  // The range that reaches furthest so far; whatever else reaches into the next one meets this one too.
  let furthest = placed[0];
  for (const next of placed.slice(1)) {
    if (furthest !== undefined && furthest.path === next.path && next.start < furthest.end) {
      shared.add(furthest.tensor).add(next.tensor);
      if (next.end > furthest.end) furthest = next;
    } else furthest = next;
  }
  return shared;
}
