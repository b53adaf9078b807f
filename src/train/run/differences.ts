/** Where settings that must be the same differ, as errors list it. */

import type { JsonValue } from "../../core/json.ts";
import { escapeText } from "../../core/text.ts";

/** Characters of a value that a line shows. */
const MAX_SHOWN = 80;

/**
 * @param holder what has the earlier settings: "the checkpoint"
 * @returns a finished, escaped line each
 */
export function differences(
  holder: string,
  earlier: ReadonlyMap<string, JsonValue>,
  now: ReadonlyMap<string, JsonValue>,
): string[] {
  const show = (value: JsonValue | undefined) => escapeText(String(value ?? "nothing").slice(0, MAX_SHOWN));
  return [...new Set([...now.keys(), ...earlier.keys()])]
    .filter((name) => earlier.get(name) !== now.get(name))
    .map((name) => `${escapeText(name)}: ${holder} has ${show(earlier.get(name))}, got ${show(now.get(name))}`);
}
