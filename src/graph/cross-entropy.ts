/**
 * Hidden rows and labels → the sum of −log p(label), in chunks of rows.
 *
 * Logits of a large vocabulary are the largest thing in training, so only a chunk of rows has them at a time: its logits,
 * loss and gradient are computed together, and the chunk's part of the graph is walked back before the next chunk. The
 * largest thing a run holds is then two chunks of logits (2048 rows of a vocabulary of 49152 in chunks of 256: 110 MB
 * instead of 810). Chunks below about 128 rows are slower: each of them reads the whole projection again. The
 * gradient by the logits is written out, softmax(z) − onehot(label); everything before the logits goes through the
 * general rules. The sum is not divided by the count: micro-batches of unequal length are weighed right only if their
 * sums are added first and divided once.
 */

import type { GraphBuilder } from "./builder.ts";
import type { Value } from "./call.ts";
import type { ReversePass } from "./reverse-pass.ts";

/** Label of a position that is not scored, as in PyTorch and transformers. */
export const NOT_SCORED = -100;

export interface CrossEntropyOptions {
  /** [..., width] */
  readonly hidden: Value;
  /** i64 [...]: the token that each row has to predict, or −100. */
  readonly labels: Value;
  /** Rows [n, width] → logits [n, vocabulary]. Called once for each chunk. */
  readonly project: (rows: Value) => Value;
  readonly chunkRows: number;
  /** i64 [n]: the rows that get logits, each once and every scored one among them; all without it. */
  readonly only?: Value;
  /** Receives the gradient of `hidden` and of what `project` uses; left out for evaluation. */
  readonly pass?: ReversePass;
}

/** f32 []: Σ −log p over the labels other than −100, in nats. */
export function crossEntropy(g: GraphBuilder, options: CrossEntropyOptions): Value {
  const { hidden, labels, chunkRows, only, pass } = options;
  const width = hidden.shape.at(-1) ?? 0;
  const pick = (value: Value) => (only === undefined ? value : g.gather(value, only, 0));
  const first = g.nodes.length;
  const rows = pick(g.reshape(hidden, [-1, width]));
  const last = g.nodes.length;
  const flat = pick(g.reshape(labels, [-1, 1]));
  const scored = g.not(g.equal(flat, g.integers([NOT_SCORED])));
  const [count = 0] = rows.shape;
  const losses: Value[] = [];
  const gradients: Value[] = [];
  for (let start = 0; start < count; start += chunkRows) {
    const end = Math.min(start + chunkRows, count);
    const cut = (value: Value) => g.slice(value, [start], [end], [0]);
    const part = chunkLoss(g, cut(rows), { ...options, labels: cut(flat) }, cut(scored));
    losses.push(part.loss);
    if (part.gradient !== undefined) gradients.push(part.gradient);
  }
  if (pass !== undefined && gradients.length > 0) {
    pass.seed(rows, g.concat(gradients, 0));
    pass.walk(first, last);
  }
  return g.reshape(g.reduceSum(g.concat(losses, 0), [0]), []);
}

interface ChunkLoss {
  /** [n, 1], 0 where no label is scored */
  readonly loss: Value;
  /** By the chunk's rows [n, width]; `undefined` when nothing before them is trained. */
  readonly gradient: Value | undefined;
}

function chunkLoss(
  g: GraphBuilder,
  rows: Value,
  { labels, project, pass }: CrossEntropyOptions,
  scored: Value,
): ChunkLoss {
  const first = g.nodes.length;
  const logits = project(rows);
  const last = g.nodes.length;
  const probabilities = g.softmax(logits);
  const counts = g.cast(scored, "f32");
  // Before what the loss needs: nodes that come later run first, and then the product writes over the probabilities.
  const scoredOnly = g.mul(probabilities, counts);
  const targets = g.where(scored, labels, g.integers([0]));
  // log Σ e^z from the largest logit and its probability, which is at least 1/vocabulary: no logarithm of a tiny number.
  const normaliser = g.sub(g.reduceMax(logits, [1]), g.log(g.reduceMax(probabilities, [1])));
  const surprise = g.sub(normaliser, g.gatherElements(logits, targets, 1));
  const loss = g.where(scored, surprise, g.scalar(0));
  if (pass === undefined) return { loss, gradient: undefined };
  // The gradient needs the loss, so that the engine, which runs what the gradient needs first, lets go of the chunk.
  const picked = g.mul(g.sub(g.exp(g.neg(surprise)), g.scalar(1)), counts);
  pass.seed(logits, g.scatterElements(scoredOnly, targets, picked, 1, false));
  pass.walk(first, last);
  return { loss, gradient: pass.take(rows) };
}
