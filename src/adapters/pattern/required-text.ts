/**
 * A text that every match of a pattern holds, so that most names need no matcher: `layers.0.` for `.*layers\.0\.(q|v)_proj`.
 */

import type { Syntax } from "./syntax.ts";

/** The longest such text that is found by looking at what stands side by side; may be empty. */
export function requiredText(syntax: Syntax): string {
  switch (syntax.kind) {
    case "character":
      return syntax.literal ?? "";
    case "group":
      return requiredText(syntax.item);
    case "repeat":
      return syntax.min > 0 ? requiredText(syntax.item) : "";
    case "sequence":
      return longest(sequenceTexts(syntax.items));
    case "choice":
    case "position":
    case "look":
      return "";
  }
}

/** Runs of single characters, and what other items need on their own. */
function sequenceTexts(items: readonly Syntax[]): string[] {
  const texts: string[] = [];
  let run = "";
  for (const item of items) {
    if (item.kind === "character" && item.literal !== undefined) {
      run += item.literal;
      continue;
    }
    texts.push(run, requiredText(item));
    run = "";
  }
  return [...texts, run];
}

function longest(texts: readonly string[]): string {
  return texts.reduce((best, text) => (text.length > best.length ? text : best), "");
}
