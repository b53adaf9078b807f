/**
 * The number of rows that tensors of a plan have in common: input embedding, output head and its bias one for each token, a
 * layer's weight and bias one for each output. An adapter may change the rows of some; the others must follow.
 */

import type { EmbeddingEnds } from "../adapters/architecture/architecture.ts";
import type { Shape } from "../core/shape.ts";
import { quote } from "../core/text.ts";

type Tensors = ReadonlyMap<string, { readonly name: string; readonly shape: Shape }>;

/** One line for each pair of tensors whose rows the merge would part. */
export function vocabularyProblems(
  { input, output, outputBiases }: EmbeddingEnds,
  base: Tensors,
  planned: Tensors,
): string[] {
  const problems = new Set<string>();
  const compare = (first: string | undefined, second: string) => {
    const [a, b] = [planned.get(first ?? ""), planned.get(second)];
    if (a === undefined || b === undefined) return;
    const [rowsA, rowsB] = [rowsOf(a), rowsOf(b)];
    // Bases may have a few rows more at one end: what counts is that both ends grow alike.
    const oldA = rowsOf(base.get(a.name) ?? base.get(b.name) ?? a);
    const oldB = rowsOf(base.get(b.name) ?? base.get(a.name) ?? b);
    if (rowsA - rowsB === oldA - oldB) return;
    problems.add(
      `${quote(a.name)} gets ${rowsA} rows and ${quote(b.name)} ${rowsB}, expected equally many: the adapter has only one of them resized`,
    );
  };
  if (input !== output) compare(input, output);
  for (const bias of outputBiases) compare(output, bias);
  for (const { name, shape } of planned.values()) {
    if (name.endsWith(".weight") && shape.length > 1) compare(name, `${name.slice(0, -"weight".length)}bias`);
  }
  return [...problems];
}

/** Rows of the embedding in the plan, when they are not those of the base. */
export function changedVocabulary(
  { input, output }: EmbeddingEnds,
  base: Tensors,
  planned: Tensors,
): number | undefined {
  for (const name of [input, output]) {
    const [before, after] = [base.get(name ?? ""), planned.get(name ?? "")];
    if (before !== undefined && after !== undefined && rowsOf(before) !== rowsOf(after)) return rowsOf(after);
  }
  return undefined;
}

function rowsOf({ shape }: { readonly shape: Shape }): number {
  return shape[0] ?? 0;
}
