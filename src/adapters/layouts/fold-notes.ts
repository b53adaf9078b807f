/**
 * What a report says about factors that were multiplied into weights.
 */

import { counted } from "../../core/text.ts";
import { isExactFactor } from "../output/output-tensor.ts";

/**
 * @param factors one for each module; 1: nothing was folded
 * @param where what they were folded into, and why
 */
export function foldNotes(factors: readonly number[], where: string): string[] {
  const folded = factors.filter((factor) => factor !== 1);
  if (folded.length === 0) return [];
  const rounded = folded.filter((factor) => !isExactFactor(factor)).length;
  const exactly = rounded === 0 ? "exactly" : `${rounded} of them rounded once, to f32`;
  return [`scales are folded into ${where} (${counted(folded.length, "module")}, ${exactly})`];
}
