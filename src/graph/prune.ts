/**
 * Drops the nodes and initialisers that no output needs. Inputs stay: they are what the caller feeds.
 */

import type { Graph, GraphNode } from "../formats/onnx/graph.ts";

export function pruneGraph(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const nodes: GraphNode[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    nodes.push(node);
    for (const name of namesIn(node)) needed.add(name);
  }
  const initialisers = new Map([...graph.initialisers].filter(([name]) => needed.has(name)));
  return { ...graph, nodes: nodes.reverse(), initialisers };
}

/** What a node reads, from within its bodies, too. */
function* namesIn({ inputs, attributes }: GraphNode): Generator<string> {
  yield* inputs;
  for (const attribute of attributes.values()) {
    if (attribute.kind !== "graph") continue;
    for (const node of attribute.value.nodes) yield* namesIn(node);
    for (const { name } of attribute.value.outputs) yield name;
  }
}
