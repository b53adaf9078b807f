/**
 * The weighted sum of the deltas. PEFT's `linear` sums the factors instead, which adds products of one adapter's `up` with
 * another's `down`; `combine` makes that with `factorWise`.
 */

import { add } from "./add.ts";

export const linear: typeof add = { ...add, summary: "the weighted sum of the deltas, without PEFT's cross terms" };
