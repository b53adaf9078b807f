/**
 * A conversation → the text that the model's chat template makes of it, and which parts of it the assistant says.
 *
 * Where the template marks them with `{% generation %}`, as transformers has it, the marks decide. Otherwise the template is
 * asked: what it renders of the messages before a turn, with the prompt for an answer, ends where the turn begins, and what it
 * renders with the turn ends where the turn does. Nothing is searched for in the text.
 */

import type { Template } from "@huggingface/jinja";
import { FormatError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/json.ts";
import { quote } from "../../core/text.ts";
import { parseTemplate, renderTemplate } from "./jinja.ts";
import type { Messages } from "./row-messages.ts";
import { toPlain } from "./tokenizer/component.ts";
import type { TemplateSource } from "./tokenizer/open-tokenizer.ts";

/** Characters from `start` to before `end`. */
export interface Turn {
  readonly start: number;
  readonly end: number;
}

export interface Conversation {
  readonly text: string;
  /** What the assistant says. */
  readonly turns: readonly Turn[];
}

/** Unicode has no characters here, and a text that holds them cannot be told from the marks. */
const [TURN_STARTS, TURN_ENDS, PROBE] = ["\ufdd0", "\ufdd1", "\ufdd2"];
const GENERATION = /([ \t\n\r]*)\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}([ \t\n\r]*)/g;

export class ChatTemplate {
  readonly #plain: Template;
  /** Present where the template has `{% generation %}`: writes marks around what the assistant says. */
  readonly #marked: Template | undefined;
  readonly #specialTokens: ReadonlyMap<string, string>;
  readonly #file: string;

  /** @throws {FormatError} INVALID_TEMPLATE */
  constructor({ text, file }: TemplateSource, specialTokens: ReadonlyMap<string, string>) {
    this.#file = file;
    this.#specialTokens = specialTokens;
    this.#plain = this.#guard(() => parseTemplate(text));
    const marked = text.replace(GENERATION, markTag);
    this.#marked = marked === text ? undefined : this.#guard(() => parseTemplate(marked));
  }

  /**
   * The whole conversation as one text.
   *
   * @throws {FormatError} INVALID_TEMPLATE when the template fails, refuses the messages, or renders earlier messages
   *   otherwise once later ones follow
   */
  render(row: Messages): Conversation {
    const { messages, scoredFrom } = row;
    const render = this.#renderer(row);
    const text = render("plain", messages.length);
    if (this.#marked !== undefined) {
      const turns = this.#markedTurns(text, render("marked", messages.length));
      if (scoredFrom === 0) return { text, turns };
      const prompt = this.#lengthIn(text, render("plain", scoredFrom), scoredFrom - 1);
      return { text, turns: turns.filter(({ start }) => start >= prompt) };
    }
    const turns = assistantTurns(row).map((index) => {
      const turn = this.#lastTurn(render, index);
      return { start: turn.start, end: this.#lengthIn(text, turn.text, index) };
    });
    return { text, turns };
  }

  /**
   * A text for each turn of the assistant, that turn the last and the only one that counts: as the model will meet them, whatever
   * the template makes of earlier turns.
   */
  renderApart(row: Messages): Conversation[] {
    const render = this.#renderer(row);
    return assistantTurns(row).map((index) => {
      const { text, start } = this.#lastTurn(render, index);
      const marked = this.#marked && this.#markedTurns(text, render("marked", index + 1)).at(-1);
      return { text, turns: [marked ?? { start, end: text.length }] };
    });
  }

  #renderer({ messages, tools }: Messages): Renderer {
    const plain = messages.map((message) => toPlain(withReasoning(message)));
    const variables = {
      ...Object.fromEntries(this.#specialTokens),
      tools: tools === undefined ? null : toPlain(tools),
      documents: null,
    };
    return (which, count, end) => {
      const template = which === "marked" && this.#marked !== undefined ? this.#marked : this.#plain;
      const shown = [...plain.slice(0, count), ...(end === "probe" ? [{ role: "assistant", content: PROBE }] : [])];
      const input = { ...variables, messages: shown, add_generation_prompt: end === "prompt" };
      return this.#guard(() => renderTemplate(template, input));
    };
  }

  /** The text of the messages up to a turn, and where the turn starts in it. */
  #lastTurn(render: Renderer, index: number): { readonly text: string; readonly start: number } {
    const prompt = index === 0 ? "" : render("plain", index, "prompt");
    const text = render("plain", index + 1);
    if (text.startsWith(prompt)) return { text, start: prompt.length };
    // A prompt may open thoughts that a message does not have: the turn begins where any answer parts from it.
    const common = commonPrefix(prompt, render("plain", index, "probe"));
    const before = render("plain", index);
    if (!text.startsWith(common) || !common.startsWith(before)) {
      throw this.#rewrites(index, "does not continue the prompt for it");
    }
    return { text, start: common.length };
  }

  /** How much of a text is what its first messages are rendered to; Phi-3 ends every text with EOS, not every turn. */
  #lengthIn(text: string, beginning: string, lastIndex: number): number {
    if (text.startsWith(beginning)) return beginning.length;
    const eos = this.#specialTokens.get("eos_token") ?? "";
    const open = beginning.endsWith(eos) ? beginning.slice(0, beginning.length - eos.length) : beginning;
    if (text.startsWith(open)) return open.length;
    throw this.#rewrites(lastIndex, "is rendered otherwise once later messages follow");
  }

  #markedTurns(text: string, marked: string): Turn[] {
    const parts = marked.split(/[\ufdd0\ufdd1]/);
    if (parts.join("") !== text || parts.length % 2 === 0) {
      throw this.#invalid("its {% generation %} marks change the text, or do not come in pairs");
    }
    const turns: Turn[] = [];
    let end = 0;
    parts.forEach((part, index) => {
      if (index % 2 === 1) turns.push({ start: end, end: end + part.length });
      end += part.length;
    });
    return turns;
  }

  #rewrites(index: number, what: string): FormatError {
    return this.#invalid(
      `message ${index + 1} ${what}, so what the assistant says cannot be told apart`,
      "give each turn a row of its own with --split-turns, or mark turns in the template with {% generation %} … {% endgeneration %}",
    );
  }

  #invalid(problem: string, hint?: string): FormatError {
    const details = { file: this.#file, ...(hint !== undefined && { hint }) };
    return new FormatError("INVALID_TEMPLATE", `chat template: ${problem}`, details);
  }

  /** What the library throws is the template's or its `raise_exception`. */
  #guard<Result>(act: () => Result): Result {
    try {
      return act();
    } catch (cause) {
      throw this.#invalid(quote(cause instanceof Error ? cause.message : String(cause)));
    }
  }
}

/** Text of the first `count` messages, and behind them the prompt for an answer, or an answer that no prompt begins with. */
type Renderer = (which: "plain" | "marked", count: number, end?: "prompt" | "probe") => string;

function commonPrefix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return a.slice(0, length);
}

/** Names of what a message thinks: the first is the one that templates know, gpt-oss's know the second. */
const REASONING = ["reasoning_content", "thinking", "reasoning"];

/** Under both names, whichever it has, as in transformers. */
function withReasoning(message: JsonObject): JsonObject {
  const reasoning = REASONING.map((key) => message.get(key)).find((value) => value !== undefined && value !== null);
  if (reasoning === undefined) return message;
  return new Map([["thinking", reasoning], ...message, ["reasoning_content", reasoning]]);
}

/** Those to be learned. */
function assistantTurns({ messages, scoredFrom }: Messages): number[] {
  return messages.flatMap((message, index) =>
    index >= scoredFrom && message.get("role") === "assistant" ? [index] : [],
  );
}

/**
 * A generation tag as an expression that writes a mark. White space around it goes as it would around the tag: `-` takes all,
 * by default the indentation before and the line's end behind go (`lstrip_blocks`, `trim_blocks`).
 */
function markTag(
  _: string,
  before: string,
  left: string,
  end: string | undefined,
  right: string,
  after: string,
): string {
  const kept = left === "-" ? "" : left === "+" ? before : before.replace(/\n[ \t]*$/, "\n");
  const rest = right === "-" ? "" : right === "+" ? after : after.replace(/^\n/, "");
  return `${kept}{{ '${end === undefined ? TURN_STARTS : TURN_ENDS}' }}${rest}`;
}
