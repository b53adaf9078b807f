/**
 * Drops the nodes and initialisers that no output needs. Inputs stay: they are what the caller feeds.
 */

import type { Graph, GraphNode } from "../formats/onnx/graph.ts";

/** Graphs without subgraphs in attributes, as all training graphs are. */
export function pruneGraph(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const nodes: GraphNode[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    nodes.push(node);
    for (const input of node.inputs) needed.add(input);
  }
  const initialisers = new Map([...graph.initialisers].filter(([name]) => needed.has(name)));
  return { ...graph, nodes: nodes.reverse(), initialisers };
}
