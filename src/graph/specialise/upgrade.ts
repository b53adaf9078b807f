/**
 * Nodes of older operator sets in today's form: what was an attribute is a constant input.
 *
 * axes of Squeeze, Unsqueeze and ReduceSum until opset 12, of the other reductions until 17; sizes of Split until 12;
 * limits of Clip and pads until 10; ranges of Slice until 9. PyTorch's TorchScript exporter writes opset 9 to 20.
 */

import type { Attribute, GraphNode } from "../../formats/onnx/graph.ts";
import { Constant } from "./constant.ts";

const AXES = { axes: 1 } as const;

/** Which input each attribute became. */
const MOVED: ReadonlyMap<string, Readonly<Record<string, number>>> = new Map<string, Readonly<Record<string, number>>>([
  ["Squeeze", AXES],
  ["Unsqueeze", AXES],
  ["ReduceSum", AXES],
  ["ReduceMean", AXES],
  ["ReduceMax", AXES],
  ["ReduceMin", AXES],
  ["ReduceProd", AXES],
  ["ReduceL2", AXES],
  ["ReduceSumSquare", AXES],
  ["Split", { split: 1 }],
  ["Clip", { min: 1, max: 2 }],
  ["Pad", { pads: 1, value: 2 }],
  ["Slice", { starts: 1, ends: 2, axes: 3 }],
]);

export interface Upgraded {
  readonly node: GraphNode;
  /** Constants for inputs by position, in place of the node's own. */
  readonly constants: ReadonlyMap<number, Constant>;
}

export function upgrade(node: GraphNode): Upgraded {
  const moved = node.domain === "" ? MOVED.get(node.opType) : undefined;
  const constants = new Map<number, Constant>();
  for (const [name, index] of Object.entries(moved ?? {})) {
    const attribute = node.attributes.get(name);
    const constant = attribute && constantFrom(`${node.outputs[0]}/${name}`, attribute);
    if (constant !== undefined) constants.set(index, constant);
  }
  if (constants.size === 0) return { node, constants };
  const attributes = new Map([...node.attributes].filter(([name]) => moved?.[name] === undefined));
  const count = Math.max(node.inputs.length, 1 + Math.max(...constants.keys()));
  const inputs = Array.from({ length: count }, (_, index) => node.inputs[index] ?? "");
  return { node: { ...node, inputs, attributes }, constants };
}

/** The value of an attribute as a constant: of f32 or i64. Also what the other forms of a Constant node hold. */
export function constantFrom(name: string, attribute: Attribute): Constant | undefined {
  switch (attribute.kind) {
    case "tensor":
      return Constant.fromTensor(name, attribute.value);
    case "int":
      return Constant.fromNumbers(name, "i64", [], Float64Array.of(Number(attribute.value)));
    case "ints":
      return Constant.fromNumbers(name, "i64", [attribute.value.length], Float64Array.from(attribute.value, Number));
    case "float":
      return Constant.fromNumbers(name, "f32", [], Float64Array.of(attribute.value));
    case "floats":
      return Constant.fromNumbers(name, "f32", [attribute.value.length], Float64Array.from(attribute.value));
    default:
      return undefined;
  }
}
