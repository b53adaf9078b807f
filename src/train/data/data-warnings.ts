/**
 * What is odd about a set of rows, and not wrong enough to refuse it.
 */

import type { RowCollector } from "./collect.ts";
import type { DataRequest, ReadRows } from "./data-reader.ts";
import { REMARKS, type Remark } from "./encode-row.ts";
import type { OpenedTokenizer } from "./tokenizer/open-tokenizer.ts";

const TEXTS: Record<Remark, string> = {
  joined: "one token holds the end of the prompt and the start of what follows; it is scored",
  "own-bos": "the text begins with BOS, so the tokenizer's own is left out",
  "two-bos": "the tokens begin with two BOS",
  "open-turn": "no special token ends what the assistant says, so the model may not learn to stop",
  "no-eos": "the tokenizer names no EOS to put behind the row, so the model may not learn to stop",
};

/** Tables of embeddings are padded by some hundred rows at most. */
const SMALL_SHARE = 0.9;

export interface WarningInputs {
  readonly kind: ReadRows["kind"];
  readonly collector: RowCollector;
  readonly opened: OpenedTokenizer | undefined;
  readonly request: DataRequest;
}

/** Finished, escaped lines. */
export function dataWarnings({ kind, collector, opened, request }: WarningInputs): string[] {
  const { counts } = collector;
  const { maxLength, vocabulary } = request;
  const told = REMARKS.filter((remark) => collector.countOf(remark) > 0);
  const warnings = told.map((remark) => `${rowsOf(collector.countOf(remark))}: ${TEXTS[remark]}`);
  if (counts.dropped > 0 && kind !== "pieces") {
    warnings.push(`${rowsOf(counts.dropped)}: left out, no token of the first ${maxLength} is scored`);
  }
  if (counts.truncated > counts.rows / 2) {
    const share = `${counts.truncated} of ${counts.rows} rows`;
    warnings.push(
      `${share} are cut at ${maxLength} tokens: their ends, EOS among them, are not learned; raise --max-length`,
    );
  }
  if (kind !== "tokens" && opened !== undefined && opened.tokenizer.size < SMALL_SHARE * vocabulary) {
    const { size } = opened.tokenizer;
    warnings.push(`the tokenizer has ${size} tokens, the model ${vocabulary} embeddings: is it the model's own?`);
  }
  if ((kind === "messages" || kind === "sharegpt") && /\bstrftime_now\b/.test(opened?.template?.text ?? "")) {
    warnings.push("the chat template writes today's date into the rows: another day gives other tokens");
  }
  return warnings;
}

function rowsOf(count: number): string {
  return count === 1 ? "1 row" : `${count} rows`;
}
