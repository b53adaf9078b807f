/**
 * What a method is: how the deltas of several adapters become one. Each has a file of its own in `methods`, and a row in
 * `registry.ts`.
 */

/** How signs are elected: by the sum of the numbers, or by how many have each sign (PEFT's `majority_sign_method`). */
export const MAJORITY_SIGNS = ["total", "frequency"] as const;
export type MajoritySign = (typeof MAJORITY_SIGNS)[number];

/** What a user may set; each method says which of them it takes. */
export interface MethodSettings {
  /** Share of the elements of each delta to keep, above 0 and up to 1. */
  readonly density: number;
  readonly majoritySign: MajoritySign;
  /** Of the random choice of elements. */
  readonly seed: number;
}

export type MethodParameter = keyof MethodSettings;

/** Which elements of each delta take part, before they are joined. */
export type Selection =
  | "all"
  /** The share of the largest, by absolute value; at the threshold all that are equal. */
  | "largest"
  /** A random share, each divided by the density (DARE, arXiv 2311.03099). */
  | "random";

/** Adds what the selected deltas become to `target`; all of one length, element by element. */
export type JoinDeltas = (
  deltas: readonly Float32Array[],
  weights: readonly number[],
  settings: MethodSettings,
  target: Float32Array,
) => void;

interface About {
  /** One line for people. */
  readonly summary: string;
  /** Where it comes from. */
  readonly paper: string | undefined;
  readonly parameters: readonly MethodParameter[];
}

/** Σ weight · delta: exact from the factors. */
export interface SumMethod extends About {
  readonly kind: "sum";
  /** Cut to a rank (the highest of the adapters, unless one is given) by singular value decomposition. */
  readonly cuts: boolean;
}

/** Element by element on the full deltas. */
export interface ElementMethod extends About {
  readonly kind: "elements";
  readonly selection: Selection;
  readonly join: JoinDeltas;
}

export type CombineMethod = SumMethod | ElementMethod;
