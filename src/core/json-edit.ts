/**
 * One value of a JSON text changed in place: every other byte stays, with its number spelling, spacing and order of keys.
 *
 * The text is walked with the scanner that parses it, so a key inside a string or in another object never matches, and
 * what the scanner refuses (RFC 8259, duplicate keys) is not edited.
 */

import { JsonScanner } from "./json-scanner.ts";

/**
 * Sets the value at a path of keys. A key that is absent is added at the end of its object, indented like its siblings;
 * the objects on the way must exist.
 *
 * @param text valid JSON whose top level is an object
 * @param value JSON text of the new value
 */
export function replaceJsonValue(text: string, path: readonly string[], value: string): string {
  const scanner = new JsonScanner(text, { file: "", pythonNumbers: true });
  scanner.skipSpace();
  const span = findSpan(scanner, path, 0);
  if (span.kind === "value") return text.slice(0, span.start) + value + text.slice(span.end);

  const key = path.at(-1) ?? "";
  const member = `${JSON.stringify(key)}: ${value}`;
  if (span.lastEnd === undefined) return text.slice(0, span.start + 1) + member + text.slice(span.start + 1);
  // What stands between the object's brace and its first key is how its members are separated.
  const indent = /^\s*/.exec(text.slice(span.start + 1))?.[0] ?? "";
  return `${text.slice(0, span.lastEnd)},${indent}${member}${text.slice(span.lastEnd)}`;
}

type Span =
  | { readonly kind: "value"; readonly start: number; readonly end: number }
  /** The key is absent from the object at `start`; its last member ends at `lastEnd`. */
  | { readonly kind: "absent"; readonly start: number; readonly lastEnd: number | undefined };

function findSpan(scanner: JsonScanner, path: readonly string[], depth: number): Span {
  const start = scanner.position;
  let found: Span | undefined;
  let lastEnd: number | undefined;
  scanner.members(depth, (key) => {
    const valueStart = scanner.position;
    if (key !== path[0]) scanner.value(depth + 1);
    else if (path.length > 1) found = findSpan(scanner, path.slice(1), depth + 1);
    else {
      scanner.value(depth + 1);
      found = { kind: "value", start: valueStart, end: scanner.position };
    }
    lastEnd = scanner.position;
  });
  return found ?? { kind: "absent", start, lastEnd };
}
