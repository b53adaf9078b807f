/**
 * One row → tokens and labels: what is prompt is not scored, what is to be learned ends with EOS.
 *
 * As TRL's SFTTrainer has it: a prompt is encoded on its own and with what follows; EOS stands behind rows that are no
 * conversations; the text of a chat template is taken as it is.
 */

import { FormatError } from "../../core/errors.ts";
import { NOT_SCORED } from "../../graph/cross-entropy.ts";
import type { Sequence } from "./batch.ts";
import { ChatTemplate, type Conversation } from "./chat-template.ts";
import type { Row } from "./row.ts";
import type { Messages } from "./row-messages.ts";
import type { OpenedTokenizer } from "./tokenizer/open-tokenizer.ts";

/** What is to be said of a row besides its tokens. */
export const REMARKS = [
  /** One token holds the end of a prompt and the start of what follows; it is scored. */
  "joined",
  /** The text brings a BOS of its own; the tokenizer's is left out. */
  "own-bos",
  /** Tokens that begin with two BOS. */
  "two-bos",
  /** A turn of the assistant that no special token ends. */
  "open-turn",
  /** The tokenizer has no EOS to put behind the row. */
  "no-eos",
] as const;

export type Remark = (typeof REMARKS)[number];

export interface EncodedRow {
  readonly sequence: Sequence;
  readonly remarks: ReadonlySet<Remark>;
}

type TextRow = Exclude<Row, { readonly kind: "tokens" }>;

export class RowEncoder {
  readonly #opened: OpenedTokenizer;
  readonly #splitTurns: boolean;
  /** Compiled when a conversation comes: a broken template is no matter to other rows. */
  #template: ChatTemplate | undefined;

  /** @param splitTurns each turn of the assistant becomes a sequence of its own */
  constructor(opened: OpenedTokenizer, splitTurns: boolean) {
    this.#opened = opened;
    this.#splitTurns = splitTurns;
  }

  /** @throws {FormatError} INVALID_ROW, INVALID_TEMPLATE or INVALID_CONFIG */
  encode(row: TextRow): EncodedRow[] {
    if ("messages" in row) return this.#conversations(row).map((one) => this.#encodeConversation(one));
    const remarks = new Set<Remark>();
    if (row.kind === "text") return [{ sequence: scoreFrom(0, this.#closed(row.text, remarks)), remarks }];
    const prompt = this.#begun(row.prompt, remarks);
    const ids = this.#closed(row.prompt + row.completion, remarks);
    const shared = sharedPrefix(prompt, ids);
    if (shared < prompt.length) remarks.add("joined");
    return [{ sequence: scoreFrom(shared, ids), remarks }];
  }

  /** The tokens of a text with what the tokenizer puts in front. */
  #begun(text: string, remarks: Set<Remark>): readonly number[] {
    const { tokenizer, bos } = this.#opened;
    const { prefix } = tokenizer.ends;
    const ids = tokenizer.encode(text);
    const doubles = bos !== undefined && prefix.at(-1) === bos && ids[0] === bos;
    if (doubles) remarks.add("own-bos");
    return doubles ? ids : [...prefix, ...ids];
  }

  /** The same with what the tokenizer puts behind, and with EOS. */
  #closed(text: string, remarks: Set<Remark>): readonly number[] {
    const { tokenizer, eos } = this.#opened;
    const ids = [...this.#begun(text, remarks), ...tokenizer.ends.suffix];
    if (eos === undefined) remarks.add("no-eos");
    else if (ids.at(-1) !== eos) ids.push(eos);
    return ids;
  }

  #conversations(row: Messages): Conversation[] {
    const { template, specialTokens } = this.#opened;
    if (template === undefined) {
      throw new FormatError("INVALID_ROW", "messages need a chat template, and the base has none", {
        hint: "put a chat_template.jinja beside its tokenizer.json, or give rows of prompt and completion",
      });
    }
    this.#template ??= new ChatTemplate(template, specialTokens);
    return this.#splitTurns ? this.#template.renderApart(row) : [this.#template.render(row)];
  }

  #encodeConversation({ text, turns }: Conversation): EncodedRow {
    const { tokenizer } = this.#opened;
    const remarks = new Set<Remark>();
    const ids = tokenizer.encode(text);
    const labels = new Int32Array(ids.length).fill(NOT_SCORED);
    for (const { start, end } of turns) {
      const before = tokenizer.encode(text.slice(0, start));
      const upTo = tokenizer.encode(text.slice(0, end));
      const from = sharedPrefix(before, ids);
      const whole = sharedPrefix(upTo, ids);
      if (from < before.length) remarks.add("joined");
      // A token that reaches over the end holds the turn's last characters.
      const to = this.#endOfTurn(ids, from, Math.min(whole < upTo.length ? whole + 1 : whole, ids.length));
      if (to === from || !this.#endsTurns(ids[to - 1])) remarks.add("open-turn");
      for (let index = from; index < to; index++) labels[index] = ids[index] ?? 0;
    }
    return { sequence: { tokens: Int32Array.from(ids), labels }, remarks };
  }

  /** White space behind the special token that ends a turn is the template's: whoever generates has stopped by then. */
  #endOfTurn(ids: readonly number[], from: number, to: number): number {
    const { tokenizer } = this.#opened;
    let end = to;
    while (end > from && !this.#endsTurns(ids[end - 1])) end--;
    return end > from && tokenizer.decode(ids.slice(end, to)).trim() === "" ? end : to;
  }

  #endsTurns(id: number | undefined): boolean {
    return id !== undefined && (id === this.#opened.eos || this.#opened.tokenizer.isSpecial(id));
  }
}

/** Tokens with the first `masked` not scored. */
function scoreFrom(masked: number, ids: readonly number[]): Sequence {
  const tokens = Int32Array.from(ids);
  return { tokens, labels: masked === 0 ? tokens : tokens.map((id, index) => (index < masked ? NOT_SCORED : id)) };
}

/** How many tokens both lists begin with. */
function sharedPrefix(left: readonly number[], right: readonly number[]): number {
  let length = 0;
  while (length < left.length && left[length] === right[length]) length++;
  return length;
}
