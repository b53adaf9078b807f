/**
 * A row as people check it: its text in stretches that are scored or not.
 */

import { NOT_SCORED } from "../../graph/cross-entropy.ts";
import type { Sequence } from "./batch.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

export interface RowPreview {
  /** Of the file; none for pieces of a text. */
  readonly line: number | undefined;
  readonly tokens: number;
  readonly scored: number;
  readonly spans: readonly PreviewSpan[];
}

export interface PreviewSpan {
  /** Whether the tokens are predicted and count in the loss. */
  readonly scored: boolean;
  readonly tokens: number;
  /** As found in the file, unescaped; the ids where there is no tokenizer. */
  readonly text: string;
}

/** Tokens of a row that are shown. */
const MAX_TOKENS = 512;

export function previewRow(
  { tokens, labels }: Sequence,
  line: number | undefined,
  tokenizer: Tokenizer | undefined,
): RowPreview {
  const ids = Array.from(tokens.subarray(0, MAX_TOKENS));
  // The first token is given: nothing predicts it.
  const isScored = (index: number) => index > 0 && labels[index] !== NOT_SCORED;
  const spans: PreviewSpan[] = [];
  let shown = "";
  for (let start = 0, end = 0; start < ids.length; start = end) {
    const scored = isScored(start);
    for (end = start + 1; end < ids.length && isScored(end) === scored; end++);
    // Decoders treat the start of a text in their own way, so that a stretch is what the text grows by.
    const upTo = textOf(ids.slice(0, end), tokenizer);
    const text = upTo.startsWith(shown) ? upTo.slice(shown.length) : textOf(ids.slice(start, end), tokenizer);
    spans.push({ scored, tokens: end - start, text });
    shown = upTo;
  }
  return { line, tokens: tokens.length, scored: labels.filter((_, index) => isScored(index)).length, spans };
}

function textOf(ids: readonly number[], tokenizer: Tokenizer | undefined): string {
  return tokenizer === undefined ? ids.map((id) => `${id} `).join("") : tokenizer.decode(ids);
}
