/**
 * What reports say beside their tables: a label and a text each, one below the other.
 */

import { escapeText } from "../core/text.ts";
import { formatBytes, formatCount, formatSeconds, formatTable } from "./format.ts";
import { type Io, paint } from "./io.ts";

/** The text is escaped. */
export type Fact = readonly [label: string, text: string];

/** Room for every label, so that the texts of all commands begin in one column. */
const LABEL_WIDTH = 8;

export function formatFacts(io: Io, facts: readonly Fact[]): string {
  return formatTable(facts.map(([label, text]) => [paint(io.stdout, "bold", label.padEnd(LABEL_WIDTH)), text]));
}

export function writtenFact(
  out: string,
  { bytes, seconds }: { readonly bytes: number; readonly seconds: number },
): Fact {
  return ["wrote", `${escapeText(out)}, ${formatBytes(bytes)} of weights in ${formatSeconds(seconds)}`];
}

/** What rounding did to products of elements with a factor. */
export function roundedFact({
  elements,
  rounded,
  largestError,
}: {
  readonly elements: number;
  readonly rounded: number;
  readonly largestError: number;
}): Fact {
  const error = rounded === 0 ? "" : `, by at most ${largestError.toPrecision(2)} of their size`;
  return ["rounded", `${formatCount(rounded)} of ${formatCount(elements)} multiplied elements${error}`];
}
