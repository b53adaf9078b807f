/**
 * What the steps of training learn from: rows of tokens with labels, and micro-batches padded to a bucket. What is not scored
 * has the label −100, Hugging Face's number.
 */

/** One row ready to learn from. */
export interface Sequence {
  readonly tokens: Int32Array;
  /** labels[i] belongs to token i, unshifted as Hugging Face has them; −100 where the token is not scored. */
  readonly labels: Int32Array;
}

/** A micro-batch of a step, padded to a bucket. Arrays are [rows, length], row after row. */
export interface Batch {
  readonly rows: number;
  readonly length: number;
  readonly inputIds: BigInt64Array;
  /** Positions start again with each segment. */
  readonly positionIds: BigInt64Array;
  /** Rows packed into one sequence do not see each other; 0 is padding. */
  readonly segmentIds: BigInt64Array;
  /** Shifted: the token that each position has to predict; −100 where nothing is scored. */
  readonly labels: BigInt64Array;
  /** Labels that are scored. */
  readonly scored: number;
  /** Positions that are not padding. */
  readonly tokens: number;
}
