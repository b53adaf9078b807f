/**
 * Text that came out of a file, made safe to print: names and metadata are hostile until escaped.
 */

/** C0 and C1 controls, DEL, bidirectional controls, zero-width and line separators, and lone surrogates. */
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Escapes what could move a terminal's cursor, hide text or reorder it, as `\u{…}`; the rest stays readable. */
export function escapeText(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The same for text of several lines, which stay lines. */
export function escapeLines(text: string): string {
  return text.split("\n").map(escapeText).join("\n");
}

/** A file-supplied name in double quotes, escaped and cut at 200 characters. */
export function quote(name: string): string {
  const cut = name.length > 200 ? `${name.slice(0, 200)}…` : name;
  return `"${escapeText(cut.replace(/["\\]/g, "\\$&"))}"`;
}

/** `c` of `a.b.c`: what a module or parameter is, wherever it stands. */
export function lastPart(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** `a.b` of `a.b.c`; empty for a path of one part. */
export function parentPath(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf(".")));
}

/** Whether no surrogate stands alone, so that the text has a UTF-8 form. */
export function isWellFormed(text: string): boolean {
  // Under the flag `u` a pair is one code point, so only halves match.
  return !/\p{Surrogate}/u.test(text);
}

/** Order of code points, which is that of UTF-8 bytes; JavaScript's own is that of UTF-16 units. */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return codePointRank(left) - codePointRank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all others, so they move behind U+FFFF. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** `1 module`, `2 modules`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** At most `limit` items, one text each, then how many more there are. */
export function summarise(items: readonly string[], limit = 5): string {
  const shown = items.slice(0, limit).join(", ");
  return items.length > limit ? `${shown} and ${items.length - limit} more` : shown;
}
