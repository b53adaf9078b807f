/**
 * Sets of characters as Python's `re` sees them in str patterns (Python 3.11, Unicode): `\w`, `\d`, `\s` and letter case.
 *
 * JavaScript's own classes differ: its `\w` and `\d` are ASCII, its `\s` has U+FEFF and lacks U+001C–U+001F and U+0085,
 * and its case folding keeps `İ` and `ı` apart from `i`.
 */

/** Whether the set holds a character, given as its code point. */
export type CharacterTest = (codePoint: number) => boolean;

const WORD = /^[\p{L}\p{N}_]$/u;
const DIGIT = /^\p{Nd}$/u;

/** `\w`: letters, numbers and the underscore; with the ASCII flag `[a-zA-Z0-9_]`. */
export function isWord(codePoint: number, ascii: boolean): boolean {
  if (codePoint < 128) return isAsciiAlphanumeric(codePoint) || codePoint === 0x5f;
  return !ascii && WORD.test(String.fromCodePoint(codePoint));
}

/** `\d`: decimal digits of every script; with the ASCII flag `[0-9]`. */
export function isDigit(codePoint: number, ascii: boolean): boolean {
  if (codePoint < 128) return codePoint >= 0x30 && codePoint <= 0x39;
  return !ascii && DIGIT.test(String.fromCodePoint(codePoint));
}

/** `\s`: what `str.isspace` calls white space; with the ASCII flag `[ \t\n\r\f\v]`. */
export function isSpace(codePoint: number, ascii: boolean): boolean {
  if (codePoint === 0x20 || (codePoint >= 0x09 && codePoint <= 0x0d)) return true;
  return !ascii && UNICODE_SPACES.has(codePoint);
}

/** Both spellings of a letter fold to one code point: simple lower case, then Python's groups of special cases. */
function fold(codePoint: number, ascii: boolean): number {
  if (codePoint < 128 || ascii) {
    return codePoint >= 0x41 && codePoint <= 0x5a ? codePoint + 32 : codePoint;
  }
  const lower = String.fromCodePoint(codePoint).toLowerCase().codePointAt(0) ?? codePoint;
  return SPECIAL_FOLDS.get(lower) ?? lower;
}

/** The set that ignores case: it holds a character when `test` holds any that folds to the same. */
export function ignoringCase(test: CharacterTest, ascii: boolean): CharacterTest {
  return (codePoint) => {
    const folded = fold(codePoint, ascii);
    return test(folded) || (variants(ascii).get(folded)?.some(test) ?? false);
  };
}

/** Code points that fold to another one, by that one; built when first needed (about 10 ms). */
function variants(ascii: boolean): ReadonlyMap<number, readonly number[]> {
  const key = ascii ? "ascii" : "unicode";
  const known = variantTables.get(key);
  if (known !== undefined) return known;
  const table = new Map<number, number[]>();
  for (let codePoint = 0; codePoint < (ascii ? 128 : LAST_CASED); codePoint++) {
    const folded = fold(codePoint, ascii);
    if (folded === codePoint) continue;
    const list = table.get(folded);
    if (list === undefined) table.set(folded, [codePoint]);
    else list.push(codePoint);
  }
  variantTables.set(key, table);
  return table;
}

const variantTables = new Map<string, ReadonlyMap<number, readonly number[]>>();

/** No character from here on has two cases (Unicode 15: Adlam ends at U+1E943). */
const LAST_CASED = 0x1e960;

const UNICODE_SPACES: ReadonlySet<number> = new Set([
  0x1c, 0x1d, 0x1e, 0x1f, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
  0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
]);

/** Lower-case letters that share an upper case (CPython 3.11 `Lib/re/_casefix.py`); the first of each group stands for it. */
const SPECIAL_GROUPS: readonly (readonly number[])[] = [
  [0x69, 0x131],
  [0x73, 0x17f],
  [0xb5, 0x3bc],
  [0x345, 0x3b9, 0x1fbe],
  [0x390, 0x1fd3],
  [0x3b0, 0x1fe3],
  [0x3b2, 0x3d0],
  [0x3b5, 0x3f5],
  [0x3b8, 0x3d1],
  [0x3ba, 0x3f0],
  [0x3c0, 0x3d6],
  [0x3c1, 0x3f1],
  [0x3c2, 0x3c3],
  [0x3c6, 0x3d5],
  [0x432, 0x1c80],
  [0x434, 0x1c81],
  [0x43e, 0x1c82],
  [0x441, 0x1c83],
  [0x442, 0x1c84, 0x1c85],
  [0x44a, 0x1c86],
  [0x463, 0x1c87],
  [0x1e61, 0x1e9b],
  [0x1c88, 0xa64b],
  [0xfb05, 0xfb06],
];

const SPECIAL_FOLDS: ReadonlyMap<number, number> = new Map(
  SPECIAL_GROUPS.flatMap((group) => group.map((codePoint) => [codePoint, group[0] ?? codePoint] as const)),
);

function isAsciiAlphanumeric(codePoint: number): boolean {
  return (
    (codePoint >= 0x30 && codePoint <= 0x39) ||
    (codePoint >= 0x41 && codePoint <= 0x5a) ||
    (codePoint >= 0x61 && codePoint <= 0x7a)
  );
}
