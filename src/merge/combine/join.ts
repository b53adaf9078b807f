/**
 * How selected deltas become one, element by element, as PEFT 0.21.2 has it (`utils/merge_utils.py`).
 */

import type { JoinDeltas } from "./method.ts";

/** target += Σ weight · delta */
export const joinSum: JoinDeltas = (deltas, weights, _settings, target) => {
  for (let index = 0; index < target.length; index++) {
    let sum = target[index] ?? 0;
    for (let at = 0; at < deltas.length; at++) sum += (weights[at] ?? 0) * (deltas[at]?.[index] ?? 0);
    target[index] = sum;
  }
};

/**
 * target += Σ weight · delta over the deltas that have the elected sign, divided by their number. The election is by the
 * deltas without weights; a tie is positive, and a 0 has neither sign.
 */
export const joinMajority: JoinDeltas = (deltas, weights, { majoritySign }, target) => {
  const byNumber = majoritySign === "frequency";
  for (let index = 0; index < target.length; index++) {
    let balance = 0;
    for (let at = 0; at < deltas.length; at++) {
      const value = deltas[at]?.[index] ?? 0;
      balance += byNumber ? Math.sign(value) : value;
    }
    const elected = balance >= 0 ? 1 : -1;
    let [sum, count] = [0, 0];
    for (let at = 0; at < deltas.length; at++) {
      const value = deltas[at]?.[index] ?? 0;
      if (Math.sign(value) !== elected) continue;
      sum += (weights[at] ?? 0) * value;
      count++;
    }
    if (count > 0) target[index] = (target[index] ?? 0) + sum / count;
  }
};
