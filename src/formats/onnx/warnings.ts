/** What is odd but allowed in a file: finished lines, the first few of them, so that a hostile file cannot fill memory. */

import { escapeText, quote } from "../../core/text.ts";

const MAX_LINES = 20;

export class Warnings {
  readonly #file: string;
  readonly #lines: string[] = [];
  #more = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** @param subject name from the file, unescaped */
  add(problem: string, subject?: string): void {
    if (this.#lines.length >= MAX_LINES) {
      this.#more++;
      return;
    }
    const named = subject === undefined ? "" : `${quote(subject)}: `;
    this.#lines.push(`${escapeText(this.#file)}: ${named}${problem}`);
  }

  get lines(): readonly string[] {
    return this.#more === 0
      ? this.#lines
      : [...this.#lines, `${escapeText(this.#file)}: and ${this.#more} more warnings`];
  }
}
