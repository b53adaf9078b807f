/**
 * What a rule is given that writes a node in terms of `OPERATORS`, and what rules share.
 */

import type { Attribute, GraphNode } from "../../../formats/onnx/graph.ts";
import type { GraphBuilder } from "../../builder.ts";
import { inputOf, type NodeCall, type Value } from "../../call.ts";
import type { Constant } from "../constant.ts";

export interface LowerCall extends NodeCall {
  readonly g: GraphBuilder;
  /** As it stands in the file, or in today's form where the file's is older. */
  readonly node: GraphNode;
  /** Version of ONNX's operator set that the file uses. */
  readonly opset: number;
  /** An input whose numbers are known; `undefined` for any other. */
  constant(index: number): Constant | undefined;
}

/** Results by position; `undefined` for those that are not made, which then must not be used. */
export type LowerRule = (call: LowerCall) => readonly (Value | undefined)[];

/** The node itself, under the names that it has in the file, so that adapters find it. */
export function direct(
  { g, node }: LowerCall,
  inputs: readonly (Value | undefined)[],
  attributes: ReadonlyMap<string, Attribute> = node.attributes,
): readonly Value[] {
  const last = inputs.findLastIndex((input) => input !== undefined);
  const names = inputs.slice(0, last + 1).map((input) => input?.name ?? "");
  return g.addNode({ ...node, domain: "", inputs: names, attributes });
}

/** The inputs, all of which are there. */
export function allInputs(call: LowerCall): readonly Value[] {
  return call.inputs.map((_, index) => inputOf(call, index));
}
