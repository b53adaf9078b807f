/**
 * JSON values → text as Python's `json.dumps(value, indent=2)` has it, with every number readable as the same double by
 * JSON and by Python.
 */

import type { JsonValue } from "./json.ts";

/** Without a line feed at the end; `indent` 0 puts everything on one line. */
export function formatJson(value: JsonValue, indent = 2): string {
  return format(value, indent, "");
}

/** Whole numbers without a point. */
export function formatNumber(value: number): string {
  const text = String(value);
  // Python would take digits alone for an integer of its own, of another value than the double.
  return Number.isSafeInteger(value) || /[.e]/.test(text) ? text : value.toExponential();
}

function format(value: JsonValue, indent: number, margin: string): string {
  if (typeof value === "number") return formatNumber(value);
  if (value instanceof Map) {
    const members = Array.from(value as ReadonlyMap<string, JsonValue>, ([key, member]) => {
      return (inner: string) => `${JSON.stringify(key)}: ${format(member, indent, inner)}`;
    });
    return wrap("{", members, "}", indent, margin);
  }
  if (!Array.isArray(value)) return JSON.stringify(value);
  const elements = (value as readonly JsonValue[]).map((element) => (inner: string) => format(element, indent, inner));
  return wrap("[", elements, "]", indent, margin);
}

function wrap(
  open: string,
  parts: readonly ((margin: string) => string)[],
  close: string,
  indent: number,
  margin: string,
): string {
  if (parts.length === 0) return open + close;
  const inner = margin + " ".repeat(indent);
  const texts = parts.map((part) => part(inner));
  if (indent === 0) return `${open}${texts.join(", ")}${close}`;
  return `${open}\n${texts.map((text) => inner + text).join(",\n")}\n${margin}${close}`;
}
