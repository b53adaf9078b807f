/**
 * The tokens of a text that comes in pieces, or is too long for one call: cut where the tokens of both sides are those of the
 * whole.
 */

/** Characters that the library is given at once: it spreads lists of tokens over arguments, of which there may be some 100,000. */
export const MAX_PIECE = 65_536;

/** Characters on both sides of a cut that decide whether it is one. */
const CONTEXT = 64;
const MAX_TRIES = 16;

export class StreamEncoder {
  readonly #encode: (text: string) => readonly number[];
  /** Text that came and was not encoded yet. */
  #rest = "";
  /** The character before it; empty at the start. */
  #lead = "";

  /** @param encode gives the tokens of a text of at most `MAX_PIECE` + 2 characters */
  constructor(encode: (text: string) => readonly number[]) {
    this.#encode = encode;
  }

  /** The tokens that are certain with this piece. */
  *push(text: string): Generator<readonly number[]> {
    this.#rest += text;
    let start = 0;
    while (this.#rest.length - start > MAX_PIECE + CONTEXT) {
      const cut = this.#findCut(start);
      yield this.#after(this.#lead, this.#rest.slice(start, cut));
      this.#lead = lastCharacter(this.#rest.slice(start, cut));
      start = cut;
    }
    this.#rest = this.#rest.slice(start);
  }

  /** The tokens that are left. */
  *end(): Generator<readonly number[]> {
    yield this.#after(this.#lead, this.#rest);
  }

  /**
   * The tokens of a text behind another one: what a tokenizer puts at the start of a text, a space for one, does not come
   * again.
   */
  #after(lead: string, text: string): readonly number[] {
    if (lead === "") return this.#encode(text);
    const before = this.#encode(lead);
    const both = this.#encode(lead + text);
    return before.every((id, index) => both[index] === id) ? both.slice(before.length) : this.#encode(text);
  }

  /** Behind a line's end, else behind a space, where the tokens allow it; else wherever the piece is full. */
  #findCut(start: number): number {
    const end = start + MAX_PIECE;
    for (const separator of ["\n", " "]) {
      let at = end;
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        at = this.#rest.lastIndexOf(separator, at - 1);
        if (at <= start + MAX_PIECE / 2) break;
        // A token often takes the space in front of a word, so that the cut comes before a space and behind a line's end.
        const cut = separator === "\n" ? at + 1 : at;
        if (this.#isCut(cut)) return cut;
      }
    }
    const half = this.#rest.charCodeAt(end - 1);
    return half >= 0xd800 && half < 0xdc00 ? end - 1 : end;
  }

  #isCut(cut: number): boolean {
    const left = wholeCharacters(this.#rest.slice(Math.max(0, cut - CONTEXT), cut));
    const right = wholeCharacters(this.#rest.slice(cut, cut + CONTEXT));
    const apart = [...this.#encode(left), ...this.#after(lastCharacter(left), right)];
    const together = this.#encode(left + right);
    return apart.length === together.length && apart.every((id, index) => id === together[index]);
  }
}

function lastCharacter(text: string): string {
  const last = text.slice(-2);
  return /^[\ud800-\udbff][\udc00-\udfff]$/.test(last) ? last : text.slice(-1);
}

/** Without halves of surrogate pairs at the ends. */
function wholeCharacters(text: string): string {
  return text.replace(/^[\udc00-\udfff]|[\ud800-\udbff]$/g, "");
}
