/**
 * Reads a pattern token by token, as CPython's `re._parser.Tokenizer` does: a token is one character, or a backslash and
 * the character after it.
 */

import { type ErrorDetails, FormatError, UnsupportedError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";

export class PatternCursor {
  /** The token that `get` returns next; `undefined` at the end. */
  next: string | undefined;
  readonly #source: string;
  readonly #characters: readonly string[];
  readonly #details: ErrorDetails;
  #index = 0;

  constructor(source: string, details: ErrorDetails) {
    this.#source = source;
    this.#characters = [...source];
    this.#details = details;
    this.#advance();
  }

  get(): string | undefined {
    const token = this.next;
    this.#advance();
    return token;
  }

  /** Takes the next token when it is this one. */
  match(token: string): boolean {
    if (this.next !== token) return false;
    this.#advance();
    return true;
  }

  /** Up to `count` tokens out of `allowed`. */
  take(count: number, allowed: string): string {
    let taken = "";
    while (taken.length < count && this.next !== undefined && allowed.includes(this.next)) taken += this.get();
    return taken;
  }

  /** Everything before `terminator`, which is taken too. */
  takeUntil(terminator: string, what: string): string {
    let taken = "";
    for (;;) {
      const token = this.get();
      if (token === undefined) throw this.invalid(`${what} is not closed with ${quote(terminator)}`);
      if (token === terminator) break;
      taken += token;
    }
    if (taken === "") throw this.invalid(`${what} is missing`);
    return taken;
  }

  /** Position of the next token, in characters. */
  tell(): number {
    return this.#index - [...(this.next ?? "")].length;
  }

  seek(position: number): void {
    this.#index = position;
    this.#advance();
  }

  /** Python would refuse it too. */
  invalid(problem: string): FormatError {
    return new FormatError(
      "INVALID_PATTERN",
      `${this.#where()} is not a valid Python pattern: ${problem}`,
      this.#details,
    );
  }

  /** Python would take it; it cannot be matched in bounded time, or is not worth it. */
  unsupported(construct: string): UnsupportedError {
    return new UnsupportedError("UNSUPPORTED_PATTERN", `${this.#where()} uses ${construct}, which is not supported`, {
      ...this.#details,
      hint: "write the pattern in adapter_config.json without it; names of modules can be listed one by one instead",
    });
  }

  #where(): string {
    return `pattern ${quote(this.#source)} (character ${this.tell()})`;
  }

  #advance(): void {
    let token = this.#characters[this.#index];
    if (token === "\\") {
      const escaped = this.#characters[this.#index + 1];
      if (escaped === undefined) {
        this.next = undefined;
        throw this.invalid("it ends in a backslash");
      }
      token += escaped;
      this.#index++;
    }
    if (token !== undefined) this.#index++;
    this.next = token;
  }
}
