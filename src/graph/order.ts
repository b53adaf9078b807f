/**
 * Puts the nodes of a gradient graph into the order in which they cost the least memory when they run.
 *
 * ONNX Runtime 1.30 sorts nodes itself: from the nodes that nothing else reads, the last one in the list first, it goes
 * back along inputs (`Graph::ReverseDFSFrom`). Gradients of weights are such nodes. In the order in which a reverse pass
 * makes them, the first block's would come first, and everything that the others need would lie in memory until the end
 * of the walk; so they go to the end of the list, the last block's last.
 */

import type { Graph } from "../formats/onnx/graph.ts";

/** The same graph; only nodes that no other node reads are moved. */
export function orderForMemory(graph: Graph): Graph {
  const read = new Set(graph.nodes.flatMap(({ inputs }) => inputs));
  const isLeaf = ({ outputs }: (typeof graph.nodes)[number]) => !outputs.some((output) => read.has(output));
  const leaves = graph.nodes.filter(isLeaf).reverse();
  return { ...graph, nodes: [...graph.nodes.filter((node) => !isLeaf(node)), ...leaves] };
}
