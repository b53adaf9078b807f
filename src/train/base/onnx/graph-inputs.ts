/**
 * Inputs of an exported language model → what training feeds each of them, by the names that exporters use (transformers,
 * optimum, ONNX Runtime GenAI).
 *
 * Only tokens change from step to step. Rows are padded on the right, where a causal model sees nothing of it, so every
 * token counts as one to attend to and positions count from 0: masks and angles are then constants. Caches are empty.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import { productOf, type Shape } from "../../../core/shape.ts";
import type { ValueInfo } from "../../../formats/onnx/graph.ts";
import type { GraphBuilder } from "../../../graph/builder.ts";
import type { Value } from "../../../graph/call.ts";
import { Constant, promoted } from "../../../graph/specialise/constant.ts";
import type { Entry } from "../../../graph/specialise/scope.ts";
import type { FixedSizes } from "../base.ts";

const TOKENS = "input_ids";

/** What an input holds in every step, for rows of a length. */
type Fill = (input: ValueInfo, rows: number, length: number) => { shape: Shape; numbers: (index: number) => number };

const forEachToken =
  (numbers: (position: number) => number): Fill =>
  ({ shape }, rows, length) => ({
    shape: shape?.length === 1 ? [length] : [rows, length],
    numbers: (index) => numbers(index % length),
  });

const scalar =
  (number: number): Fill =>
  ({ shape }) => ({ shape: shape?.map(() => 1) ?? [], numbers: () => number });

/** [b, heads, past, size] with nothing in it, whatever the size of what would be in it. */
const emptyCache: Fill = (input, rows) => {
  const [, heads, past, size] = input.shape ?? [];
  if (input.shape?.length !== 4 || typeof heads !== "number" || typeof past === "number") {
    throw refused(input.name, "expected a cache [batch, heads, length, size] of free length", NO_CACHE);
  }
  return { shape: [rows, heads, 0, typeof size === "number" ? size : 0], numbers: () => 0 };
};

const NO_CACHE = "export the model without a cache (use_cache=False)";

const FILLS: readonly (readonly [name: RegExp, fill: Fill])[] = [
  [/^attention_mask$/, forEachToken(() => 1)],
  [/^(?:position_ids|cache_position)$/, forEachToken((position) => position)],
  [/^token_type_ids$/, forEachToken(() => 0)],
  [/^past/, emptyCache],
  [/^use_cache_branch$/, scalar(0)],
  /** 0 stands for all of them. */
  [/^(?:num_)?logits_to_keep$/, scalar(0)],
];

/** @throws {UnsupportedError} UNSUPPORTED_MODEL without an input for tokens */
export function fixedSizes(inputs: readonly ValueInfo[]): FixedSizes {
  const tokens = inputs.find(({ name }) => name === TOKENS);
  if (tokens === undefined || (tokens.dtype !== "i64" && tokens.dtype !== "i32") || tokens.shape?.length !== 2) {
    const hint = "export the whole model: from input_ids to logits";
    throw refused(TOKENS, "expected an input of token ids [batch, length]", hint);
  }
  const [rows, length] = tokens.shape.map((size) => (typeof size === "number" ? size : undefined));
  return { rows, length };
}

/** @throws {UnsupportedError} UNSUPPORTED_MODEL for inputs that nothing is known about */
export function bindInputs(g: GraphBuilder, inputs: readonly ValueInfo[], tokens: Value): Map<string, Entry> {
  const [rows = 0, length = 0] = tokens.shape;
  const entries = inputs.map((input): [string, Entry] => {
    const { name, dtype } = input;
    if (name === TOKENS) return [name, g.cast(tokens, dtype)];
    const fill = FILLS.find(([pattern]) => pattern.test(name))?.[1];
    if (fill === undefined) {
      throw refused(
        name,
        "it is not known what to feed this input",
        "export the model with inputs input_ids, attention_mask and position_ids",
      );
    }
    const { shape, numbers } = fill(input, rows, length);
    const count = productOf(shape);
    return [
      name,
      Constant.fromNumbers(
        `every/${name}`,
        promoted(dtype),
        shape,
        Float64Array.from({ length: count }, (_, at) => numbers(at)),
      ),
    ];
  });
  return new Map(entries);
}

function refused(subject: string, problem: string, hint: string): UnsupportedError {
  return new UnsupportedError("UNSUPPORTED_MODEL", problem, { subject, hint });
}
