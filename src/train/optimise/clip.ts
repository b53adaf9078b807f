/**
 * Norms of gradients, and the factor that clips them (`torch.nn.utils.clip_grad_norm_`): the total is the norm of all
 * tensors as one vector, and every gradient is multiplied by min(1, most / (total + 1e-6)). Sums in double precision.
 */

/** The norm of all vectors joined, from the norm of each. */
export function totalNorm(norms: Iterable<number>): number {
  let sum = 0;
  for (const one of norms) sum += one * one;
  return Math.sqrt(sum);
}

/** @param most 0: never clips */
export function clipFactor(total: number, most: number): number {
  return most === 0 ? 1 : Math.min(1, Math.fround(most / (total + 1e-6)));
}
