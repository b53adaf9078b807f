/**
 * The syntax tree of a Python regular expression, as far as it can be matched in linear time.
 *
 * Characters are single code points. Groups are kept only for the one name that is read back, `idx`.
 */

import type { CharacterTest } from "./characters.ts";

export type Position =
  /** `\A`, and `^` without MULTILINE. */
  | "text-start"
  /** `^` with MULTILINE: also after every line feed. */
  | "line-start"
  /** `\Z`. */
  | "text-end"
  /** `$` without MULTILINE: the end, or before a line feed that ends the text. */
  | "text-end-or-newline"
  /** `$` with MULTILINE. */
  | "line-end"
  | "word-boundary"
  | "not-word-boundary";

export type Syntax =
  /** One character; `cost`: how many comparisons the test may take; `literal`: where it is just this one. */
  | { readonly kind: "character"; readonly test: CharacterTest; readonly cost: number; readonly literal?: string }
  | { readonly kind: "sequence"; readonly items: readonly Syntax[] }
  | { readonly kind: "choice"; readonly options: readonly Syntax[] }
  | {
      readonly kind: "repeat";
      readonly item: Syntax;
      readonly min: number;
      readonly max: number;
      readonly lazy: boolean;
    }
  | { readonly kind: "position"; readonly position: Position; readonly ascii: boolean }
  | { readonly kind: "look"; readonly ahead: boolean; readonly negative: boolean; readonly item: Syntax }
  | { readonly kind: "group"; readonly name: string | undefined; readonly item: Syntax };

/** Inline flags in force at one place of a pattern. */
export interface Flags {
  ignoreCase: boolean;
  multiline: boolean;
  dotAll: boolean;
  ascii: boolean;
}

/** How many characters a match of the tree spans, where that is one number; `undefined` where it varies. */
export function fixedWidth(syntax: Syntax): number | undefined {
  switch (syntax.kind) {
    case "character":
      return 1;
    case "position":
    case "look":
      return 0;
    case "group":
      return fixedWidth(syntax.item);
    case "repeat": {
      const width = fixedWidth(syntax.item);
      if (width === 0) return 0;
      return width === undefined || syntax.min !== syntax.max ? undefined : width * syntax.min;
    }
    case "sequence": {
      let total = 0;
      for (const item of syntax.items) {
        const width = fixedWidth(item);
        if (width === undefined) return undefined;
        total += width;
      }
      return total;
    }
    case "choice": {
      const widths = new Set(syntax.options.map(fixedWidth));
      const [width] = widths;
      return widths.size === 1 ? width : undefined;
    }
  }
}
