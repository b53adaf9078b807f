/**
 * A conversation → the text that the model's chat template makes of it, and which parts of it the assistant says.
 *
 * Where the template marks them with `{% generation %}`, as transformers has it, the marks decide. Otherwise the template is
 * asked: what it renders of the messages before a turn, with the prompt for an answer, ends where the turn begins, and what it
 * renders with the turn ends where the turn does. Nothing is searched for in the text.
 */

import { Template } from "@huggingface/jinja";
import { FormatError } from "../../core/errors.ts";
import type { JsonObject, JsonValue } from "../../core/json.ts";
import { quote } from "../../core/text.ts";
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
const [TURN_STARTS, TURN_ENDS] = ["\ufdd0", "\ufdd1"];
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
    this.#plain = this.#guard(() => new Template(text));
    const marked = text.replace(GENERATION, markTag);
    this.#marked = marked === text ? undefined : this.#guard(() => new Template(marked));
  }

  /**
   * @param tools as rows carry them beside the messages
   * @throws {FormatError} INVALID_TEMPLATE when the template fails, refuses the messages, or renders earlier messages
   *   otherwise once later ones follow
   */
  render(messages: readonly JsonObject[], tools: JsonValue | undefined): Conversation {
    const plain = messages.map(toPlain);
    const render = (template: Template, count: number, prompt: boolean) =>
      this.#guard(() =>
        template.render({
          ...Object.fromEntries(this.#specialTokens),
          messages: plain.slice(0, count),
          tools: tools === undefined ? null : toPlain(tools),
          documents: null,
          add_generation_prompt: prompt,
        }),
      );
    const text = render(this.#plain, messages.length, false);
    if (this.#marked !== undefined) return this.#turnsByMarks(text, render(this.#marked, messages.length, false));
    const turns = messages.flatMap((message, index) => {
      if (message.get("role") !== "assistant") return [];
      const before = index === 0 ? "" : render(this.#plain, index, true);
      const upTo = index === messages.length - 1 ? text : render(this.#plain, index + 1, false);
      if (!upTo.startsWith(before)) throw this.#rewrites(index, "does not continue the prompt for it");
      if (!text.startsWith(upTo)) throw this.#rewrites(index, "is rendered otherwise once later messages follow");
      return [{ start: before.length, end: upTo.length }];
    });
    return { text, turns };
  }

  #turnsByMarks(text: string, marked: string): Conversation {
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
    return { text, turns };
  }

  #rewrites(index: number, what: string): FormatError {
    return this.#invalid(
      `message ${index + 1} ${what}, so what the assistant says cannot be told apart`,
      "mark it in the template with {% generation %} … {% endgeneration %}, or give each turn a row of its own",
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
