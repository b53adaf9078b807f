/**
 * OFT: oft_blocks [blocks, size, size], rescale [out, 1 …], alpha the limit of the rotations (LyCORIS `modules/diag_oft.py`,
 * sd-scripts `networks/oft.py`). The butterflies of BOFT have a dimension more and are refused.
 */

import { hasDimensions, hasLength, hasShape } from "../peft/factor-shapes.ts";
import { readNumber } from "./alpha.ts";
import type { AlgorithmReader } from "./modules.ts";

export const readOft: AlgorithmReader = (name, factors, problems) => {
  const [blocks, rescale, alpha] = [factors.get("oft_blocks"), factors.get("rescale"), factors.get("alpha")];
  if (blocks === undefined) {
    problems.add("ADAPTER_INCOMPLETE", name, `expected oft_blocks, got ${[...factors.keys()].join(", ")}`);
    return undefined;
  }
  if (blocks.shape.length === 4) {
    problems.add("ADAPTER_MISMATCH", blocks.name, "BOFT rotates in several steps, which is not read");
    return undefined;
  }
  const [count = 0, size = 0] = blocks.shape;
  if (!hasDimensions([blocks], [3, 3], problems) || !hasShape(blocks, [count, size, size], problems)) return undefined;
  if (rescale !== undefined && !hasLength(rescale, count * size, problems)) return undefined;
  const constraint = alpha === undefined ? 0 : readNumber(alpha, problems);
  if (constraint === undefined) return undefined;
  return {
    name,
    kind: "linear",
    delta: { kind: "oft", blocks, constraint, ...(rescale && { rescale }) },
    rank: 0,
    alpha: 0,
    scale: 1,
  };
};
