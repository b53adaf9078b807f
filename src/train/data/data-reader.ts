/**
 * Rows of a file, one after the other: read, encoded, collected, and what is to be said of them.
 */

import { FormatError, LoraToolError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import { NOT_SCORED } from "../../graph/cross-entropy.ts";
import type { Sequence } from "./batch.ts";
import { type DataCounts, RowCollector } from "./collect.ts";
import { dataWarnings } from "./data-warnings.ts";
import { type EncodedRow, type Remark, RowEncoder } from "./encode-row.ts";
import { previewRow, type RowPreview } from "./preview.ts";
import { atLine, type Place, readRecords } from "./records.ts";
import { type Row, type RowKind, readRow } from "./row.ts";
import { cutPieces } from "./text-pieces.ts";
import { type OpenedTokenizer, openTokenizer } from "./tokenizer/open-tokenizer.ts";

export interface DataRequest {
  /** `.jsonl`, `.json` or `.txt`. */
  readonly path: string;
  /** The folder of the base; without one, or without a tokenizer in it, rows must be tokens. */
  readonly tokenizerFolder: string | undefined;
  /** Tokens that the model knows. */
  readonly vocabulary: number;
  /** Tokens of the longest row. */
  readonly maxLength: number;
  /** Each turn of the assistant becomes a row of its own, with what comes before it as its prompt. */
  readonly splitTurns?: boolean | undefined;
  /** Rows to show. */
  readonly previews: number;
}

export interface ReadRows extends DataCounts {
  /** `pieces`: a text that was cut. */
  readonly kind: RowKind | "pieces";
  readonly previews: readonly RowPreview[];
  /** Finished, escaped lines. */
  readonly warnings: readonly string[];
}

const NO_REMARKS: ReadonlySet<Remark> = new Set();

export class DataReader {
  readonly #request: DataRequest;
  readonly #onLine: (line: number) => void;
  readonly #collector: RowCollector;
  readonly #previews: RowPreview[] = [];
  #kind: RowKind | "pieces" | undefined;
  /** Opened when a row needs it: rows of tokens do without, whatever the model's tokenizer is. */
  #opened: OpenedTokenizer | undefined;
  #encoder: RowEncoder | undefined;
  #triedTokenizer = false;

  /** @param onLine hears of each row before the work on it */
  constructor(request: DataRequest, onLine: (line: number) => void) {
    this.#request = request;
    this.#onLine = onLine;
    this.#collector = new RowCollector(request.maxLength);
  }

  *readText(chunks: Iterable<Uint8Array>): Generator<Sequence> {
    const { path: file, maxLength } = this.#request;
    const { tokenizer } = this.#needTokenizer();
    this.#kind = "pieces";
    for (const { sequence, line } of cutPieces(chunks, file, { tokenizer, maxLength })) {
      this.#onLine(line);
      this.#checkIds(sequence);
      yield* this.#take(sequence, undefined, NO_REMARKS);
    }
  }

  *readRows(chunks: Iterable<Uint8Array>, form: "lines" | "array"): Generator<Sequence> {
    const { path: file, vocabulary } = this.#request;
    for (const { value, line } of readRecords(chunks, file, form)) {
      const place = { file, line };
      this.#onLine(line);
      const row = atLine(place, () => this.#checkKind(readRow(value, vocabulary)));
      if (row.kind === "tokens") {
        const { sequence, remarks } = this.#encodeTokens(row);
        yield* this.#take(sequence, line, remarks);
        continue;
      }
      this.#encoder ??= new RowEncoder(this.#needTokenizer(place), this.#request.splitTurns ?? false);
      const encoder = this.#encoder;
      const encoded = atLine(place, () => {
        const rows = encoder.encode(row);
        for (const { sequence } of rows) this.#checkIds(sequence);
        return rows;
      });
      for (const { sequence, remarks } of encoded) yield* this.#take(sequence, line, remarks);
    }
  }

  /** @throws {FormatError} NOTHING_TO_LEARN */
  finish(): ReadRows {
    const { counts } = this.#collector;
    const { path: file, maxLength } = this.#request;
    const kind = this.#kind;
    if (kind === undefined || counts.rows === 0) {
      throw new FormatError("NOTHING_TO_LEARN", "the file has no rows", { file });
    }
    if (counts.kept === 0) {
      const problem = `none of the ${counts.rows} rows has a token to learn within its first ${maxLength}`;
      const hint =
        counts.truncated > 0
          ? "raise --max-length: prompts fill it"
          : `a row teaches by a label that is not ${NOT_SCORED}, behind its first token`;
      throw new FormatError("NOTHING_TO_LEARN", problem, { file, hint });
    }
    const warnings = dataWarnings({ kind, collector: this.#collector, opened: this.#opened, request: this.#request });
    return { ...counts, kind, previews: this.#previews, warnings };
  }

  #checkKind(row: Row): Row {
    this.#kind ??= row.kind;
    if (row.kind === this.#kind) return row;
    const problem = `the row is of kind ${row.kind}, those before it are of kind ${this.#kind}`;
    throw new FormatError("INVALID_ROW", problem, { hint: "give each kind a file of its own" });
  }

  /** Added tokens may lie beyond the embeddings (Gemma 3's image token in its text models) as long as no row has them. */
  #checkIds({ tokens }: Sequence): void {
    const { path: file, vocabulary } = this.#request;
    const id = tokens.find((token) => token >= vocabulary);
    if (id === undefined) return;
    const token = quote(this.#opened?.tokenizer.decode([id]) ?? "");
    const problem = `the token ${token} has id ${id}, the model has embeddings for 0 to ${vocabulary - 1}`;
    throw new FormatError("INVALID_ROW", problem, { file });
  }

  #encodeTokens({ ids, labels }: Extract<Row, { readonly kind: "tokens" }>): EncodedRow {
    const tokens = Int32Array.from(ids);
    const bos = this.#helpfulTokenizer()?.bos;
    const remarks = bos !== undefined && ids[0] === bos && ids[1] === bos ? new Set<Remark>(["two-bos"]) : NO_REMARKS;
    return { sequence: { tokens, labels: labels === ids ? tokens : Int32Array.from(labels) }, remarks };
  }

  /** For rows of tokens: to show them, and to know BOS, where the tokenizer is one that can be read. */
  #helpfulTokenizer(): OpenedTokenizer | undefined {
    const { tokenizerFolder: folder, vocabulary } = this.#request;
    if (folder === undefined || this.#triedTokenizer) return this.#opened;
    this.#triedTokenizer = true;
    try {
      this.#opened = openTokenizer(folder, vocabulary);
    } catch (error) {
      if (!(error instanceof LoraToolError)) throw error;
    }
    return this.#opened;
  }

  *#take(sequence: Sequence, line: number | undefined, remarks: ReadonlySet<Remark>): Generator<Sequence> {
    const row = this.#collector.add(sequence, remarks);
    if (row === undefined) return;
    if (this.#previews.length < this.#request.previews) {
      this.#previews.push(previewRow(row, line, this.#opened?.tokenizer));
    }
    yield row;
  }

  /** @throws {FormatError} INVALID_ROW where there is none, naming the row that needs it */
  #needTokenizer(place?: Place): OpenedTokenizer {
    const { path: file, tokenizerFolder: folder, vocabulary } = this.#request;
    this.#opened ??= folder === undefined ? undefined : openTokenizer(folder, vocabulary);
    if (this.#opened !== undefined) return this.#opened;
    const line = place === undefined ? "" : `line ${place.line}: `;
    throw new FormatError("INVALID_ROW", `${line}text needs a tokenizer, and the base has no tokenizer.json`, {
      file,
      hint:
        folder === undefined
          ? 'give rows of {"input_ids": […]}'
          : 'put the tokenizer.json of the model into its folder, or give rows of {"input_ids": […]}',
    });
  }
}
