/**
 * Text and data inside a page of HTML: names come from files and must stay text, whatever they hold.
 */

import { escapeText } from "../../core/text.ts";

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ["&", "&amp;"],
  ["<", "&lt;"],
  [">", "&gt;"],
  ['"', "&quot;"],
  ["'", "&#39;"],
]);

/** Text for an element or a quoted attribute; what could hide or reorder text becomes visible. */
export function escapeHtml(text: string): string {
  return escapeText(text).replace(/[&<>"']/g, (character) => ENTITIES.get(character) ?? character);
}

/** A value as JSON that nothing can end before its element ends; numbers that JSON does not have become null. */
export function embedJson(value: unknown): string {
  const text = JSON.stringify(value, (_, item: unknown) => (typeof item === "string" ? escapeText(item) : item));
  return text.replaceAll("<", "\\u003c");
}
