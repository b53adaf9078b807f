/**
 * A node that multiplies by a matrix, or picks rows of a table, as the layer that an adapter goes on.
 */

import { UnsupportedError } from "../core/errors.ts";
import { floatAttribute, inputOf, intAttribute, type NodeCall, type Value } from "./call.ts";
import type { LinearLayer } from "./lora.ts";

/**
 * The layer of a MatMul, Gemm or Gather whose result is `base`. An embedding has the indices as x and the table as weight.
 *
 * @param subject what the error names
 * @throws {UnsupportedError} UNSUPPORTED_OPERATOR for other nodes, and for forms that are no layer of rows
 */
export function layerOf(call: NodeCall, base: Value, subject: string): LinearLayer {
  const refused = (problem: string) =>
    new UnsupportedError("UNSUPPORTED_OPERATOR", `${call.operator}: ${problem}`, { subject });
  const isGather = call.operator === "Gather";
  if (!isGather && call.operator !== "MatMul" && call.operator !== "Gemm") {
    throw refused("expected MatMul, Gemm or Gather");
  }
  const [first, second] = [inputOf(call, 0), inputOf(call, 1)];
  const weight = isGather ? first : second;
  if (weight.shape.length !== 2 || weight.dtype !== "f32") throw refused("expected a matrix of f32 as weight");
  if (isGather) {
    if (intAttribute(call, "axis", 0) !== 0) throw refused("expected rows of a table");
    return { x: second, weight, transposed: false, base };
  }
  const isPlain =
    intAttribute(call, "transA", 0) === 0 &&
    floatAttribute(call, "alpha", 1) === 1 &&
    floatAttribute(call, "beta", 1) === 1;
  if (!isPlain) throw refused("expected plain rows times a weight");
  const bias = call.inputs[2];
  const transposed = intAttribute(call, "transB", 0) !== 0;
  return { x: first, weight, transposed, base, ...(bias !== undefined && { bias }) };
}
