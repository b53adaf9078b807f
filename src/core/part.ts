/** A share of work that several machines divide among them. */

import { UsageError } from "./errors.ts";

export interface Part {
  /** From 1. */
  readonly index: number;
  readonly count: number;
}

/** @throws {UsageError} unless 1 ≤ index ≤ count */
export function assertPart({ index, count }: Part): void {
  if (Number.isSafeInteger(index) && Number.isSafeInteger(count) && index >= 1 && index <= count) return;
  throw new UsageError(`expected part i of n with 1 ≤ i ≤ n, got ${index} of ${count}`, { subject: "part" });
}
