/**
 * Names and numbers as a sweep's report shows them.
 */

import type { Convention } from "../../adapters/adapter.ts";

export const CONVENTION_NAMES: Readonly<Record<Convention, string>> = { lora: "LoRA", rslora: "rsLoRA" };

/** Four digits, with a true minus sign. */
export function formatNumber(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return "?";
  return String(Number(value.toPrecision(4))).replace(/^-/, "−");
}
