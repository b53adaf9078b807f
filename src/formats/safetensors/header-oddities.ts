/**
 * What a safetensors header may hold and hardly means: fields that no version of the format has, names that are empty or
 * hide characters, metadata that is null. The reference accepts all of it, so it is told, in one line a kind however many
 * tensors it concerns.
 */

import type { JsonObject } from "../../core/json.ts";
import { escapeText, quote, summarise } from "../../core/text.ts";

const FIELDS: ReadonlySet<string> = new Set(["dtype", "shape", "data_offsets"]);

export class HeaderOddities {
  readonly #file: string;
  readonly #unknownFields: string[] = [];
  readonly #oddNames: string[] = [];
  nullMetadata = false;

  constructor(file: string) {
    this.#file = file;
  }

  /** Notes what is odd about one entry. */
  look(name: string, entry: JsonObject): void {
    if (name === "" || escapeText(name) !== name) this.#oddNames.push(name);
    if (entry.size === FIELDS.size) return;
    const unknown = [...entry.keys()].filter((key) => !FIELDS.has(key));
    this.#unknownFields.push(`${quote(name)} (${summarise(unknown.map(quote), 3)})`);
  }

  /** Finished, escaped lines. */
  lines(): string[] {
    const lines: string[] = [];
    if (this.nullMetadata) lines.push("__metadata__ is null");
    if (this.#oddNames.length > 0) {
      lines.push(`names that are empty or hold invisible characters: ${summarise(this.#oddNames.map(quote))}`);
    }
    if (this.#unknownFields.length > 0) lines.push(`unknown fields of tensors: ${summarise(this.#unknownFields)}`);
    return lines.map((line) => `${escapeText(this.#file)}: ${line}`);
  }
}
