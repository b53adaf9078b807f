/**
 * What training will see of its data: counts, and rows with what is scored set apart, by colour or by brackets.
 */

import { escapeText } from "../core/text.ts";
import type { DataSummary } from "../train/data/prepare.ts";
import type { PreviewSpan, RowPreview } from "../train/data/preview.ts";
import type { Fact } from "./facts.ts";
import { formatCount, formatShare } from "./format.ts";
import { type Io, paint } from "./io.ts";

const KINDS: Record<DataSummary["kind"], string> = {
  text: "rows of text",
  completion: "rows of prompt and completion",
  messages: "conversations",
  sharegpt: "conversations in ShareGPT's form",
  alpaca: "instructions in Alpaca's prompt",
  tokens: "rows of tokens",
  pieces: "pieces of the text",
};

/** Characters of a stretch that are shown: its start and its end tell most. */
const SHOWN = 600;

/** Labels and texts of the table of facts; `label` says what the data are for. */
export function dataFacts(label: string, summary: DataSummary): Fact[] {
  const { path, kind, rows, kept, dropped, truncated, tokens, scored, longest, shortest } = summary;
  const left = dropped === 0 ? "" : `, ${formatCount(dropped)} left out`;
  const cut = truncated === 0 ? "" : `, ${formatCount(truncated)} cut`;
  return [
    [label, `${escapeText(path)}: ${formatCount(rows)} ${KINDS[kind]}${cut}${left}`],
    [
      "tokens",
      `${formatCount(tokens)} in ${formatCount(kept)} rows of ${formatCount(shortest)} to ${formatCount(longest)}; ${formatShare(scored, tokens)} are scored`,
    ],
  ];
}

/** Rows as they are learned from. */
export function describePreviews(io: Io, previews: readonly RowPreview[]): string {
  const rows = previews.map((preview) => `${heading(io, preview)}\n${indent(describeSpans(io, preview))}\n`);
  const legend = paint(io.stdout, "green", "green") === "green" ? "between ⟦ and ⟧" : "in green";
  return previews.length === 0 ? "" : `Scored is what stands ${legend}.\n\n${rows.join("\n")}`;
}

function heading(io: Io, { line, tokens, scored }: RowPreview): string {
  const place = line === undefined ? "piece" : `line ${formatCount(line)}`;
  return paint(io.stdout, "bold", `${place}: ${formatCount(tokens)} tokens, ${formatCount(scored)} scored`);
}

function describeSpans(io: Io, { spans, tokens }: RowPreview): string {
  const shown = spans.reduce((sum, span) => sum + span.tokens, 0);
  const rest = shown < tokens ? ` … ${formatCount(tokens - shown)} tokens more` : "";
  return spans.map((span) => describeSpan(io, span)).join("") + rest;
}

function describeSpan(io: Io, { text, scored }: PreviewSpan): string {
  const cut = text.length > SHOWN ? `${text.slice(0, SHOWN / 2)} … ${text.slice(-SHOWN / 2)}` : text;
  // A line's end is a token too, so it is shown and not only obeyed.
  const lines = cut.split("\n").map(escapeText);
  const painted = (part: string) => (part === "" ? "" : paint(io.stdout, scored ? "green" : "dim", part));
  const joined = lines.map((line, index) => painted(index < lines.length - 1 ? `${line}↵` : line)).join("\n");
  return scored && painted("x") === "x" ? `⟦${joined}⟧` : joined;
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");
}
