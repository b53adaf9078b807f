/**
 * The content of a report, apart from how it looks.
 */

import type { Chart } from "./chart.ts";

export interface ReportDocument {
  readonly title: string;
  readonly lead: string;
  readonly sections: readonly Section[];
}

export interface Section {
  readonly title: string;
  readonly blocks: readonly Block[];
}

export type Block = FactsBlock | ChartsBlock | TableBlock | FindingsBlock;

/** A few numbers to see first. */
export interface FactsBlock {
  readonly kind: "facts";
  readonly facts: readonly { readonly label: string; readonly value: string }[];
}

export interface ChartsBlock {
  readonly kind: "charts";
  readonly charts: readonly Chart[];
}

export interface TableBlock {
  readonly kind: "table";
  readonly caption: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** What the data say about a claim. */
export interface FindingsBlock {
  readonly kind: "findings";
  readonly findings: readonly Finding[];
}

export interface Finding {
  readonly verdict: Verdict;
  readonly claim: string;
  /** The numbers that decide it. */
  readonly evidence: string;
}

/** How a claim may come out, with the word for it. */
export const VERDICTS = {
  holds: "holds",
  fails: "does not hold",
  open: "not decided by these data",
} as const;

export type Verdict = keyof typeof VERDICTS;
