/**
 * IA3: W ∘ vector, bare tensor ia3_l: (1, in) along the inputs of feed-forward modules, (out, 1) along the outputs of the
 * others and their biases; (1, features, 1 …) for convolutions (PEFT 0.21.2 `ia3/layer.py`).
 */

import { formatShape } from "../../../core/shape.ts";
import { hasDimensions, takeFactors } from "./factor-shapes.ts";
import type { ModuleReader } from "./module-reader.ts";

export const readIa3: ModuleReader = (entry, { config, problems }) => {
  const { module, owner } = entry.place;
  const taken = takeFactors(entry, ["ia3_l"], [], problems);
  if (taken === undefined) return undefined;
  const { ia3_l: vector } = taken;
  if (!hasDimensions([vector], [2, 5], problems)) return undefined;
  const feedforward = config.isFeedforward(owner);
  const convolution = vector.shape.length > 2;
  // Only linear layers show in the shape which of the two they are.
  const along = convolution || feedforward ? 1 : 0;
  if (vector.shape.some((size, axis) => axis !== along && size !== 1)) {
    const expected = convolution ? "(1, features, 1 …)" : feedforward ? "(1, in)" : "(out, 1)";
    const why = feedforward ? "feedforward_modules name it" : "feedforward_modules do not name it";
    problems.add("ADAPTER_MISMATCH", vector.name, `expected ${expected}, as ${why}, got ${formatShape(vector.shape)}`);
    return undefined;
  }
  return {
    name: module,
    kind: convolution ? "conv" : "linear",
    delta: { kind: "ia3", vector, feedforward },
    rank: 0,
    alpha: 0,
    scale: 1,
  };
};
