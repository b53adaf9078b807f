/**
 * Gives every node that reads a constant through a Cast a Cast of its own, so that the wide copy of a weight lives for
 * one node and not from the forward pass to the backward pass.
 */

import type { Graph, GraphNode } from "../formats/onnx/graph.ts";

/** The same numbers; only the Casts of constants are copied. */
export function widenAtUse(graph: Graph): Graph {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const casts = new Map<string, GraphNode>();
  for (const node of graph.nodes) {
    const [input = "", output = ""] = [node.inputs[0], node.outputs[0]];
    if (node.opType === "Cast" && graph.initialisers.has(input) && !outputs.has(output)) casts.set(output, node);
  }
  let copies = 0;
  const nodes = graph.nodes.flatMap((node) => {
    if (casts.has(node.outputs[0] ?? "")) return [];
    const own: GraphNode[] = [];
    const inputs = node.inputs.map((input) => {
      const cast = casts.get(input);
      if (cast === undefined) return input;
      const output = `${input}/${copies++}`;
      own.push({ ...cast, outputs: [output] });
      return output;
    });
    return own.length === 0 ? [node] : [...own, { ...node, inputs }];
  });
  return { ...graph, nodes };
}
