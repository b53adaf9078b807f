/**
 * How many bytes of values a graph holds at once while it runs, from its shapes alone.
 *
 * Nodes run in the order of ONNX Runtime 1.30 (`Graph::ReverseDFSFrom`: back from the nodes that nothing reads, the last
 * one first, along inputs, the last node first); a value lives from its node to the last one that reads it. Views and
 * nodes that write over their input make the true number smaller, the engine's rounding of blocks makes it larger.
 */

import { tensorBytes } from "../core/dtype.ts";
import type { Graph, GraphNode } from "../formats/onnx/graph.ts";
import { GraphBuilder } from "./builder.ts";

/** Without inputs and initialisers, which are there all the time. */
export function peakBytes(graph: Graph): number {
  const g = GraphBuilder.from(graph);
  const sizeOf = (name: string): number => tensorBytes(g.value(name));
  const order = runOrder(graph);
  const lastReader = new Map<string, number>();
  for (const [index, { inputs }] of order.entries()) for (const input of inputs) lastReader.set(input, index);
  for (const { name } of graph.outputs) lastReader.set(name, order.length);
  const made = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
  let [live, peak] = [0, 0];
  for (const [index, { inputs, outputs }] of order.entries()) {
    for (const output of outputs) if (output !== "") live += sizeOf(output);
    peak = Math.max(peak, live);
    for (const name of new Set([...inputs, ...outputs])) {
      if (made.has(name) && (lastReader.get(name) ?? index) <= index) live -= sizeOf(name);
    }
  }
  return peak;
}

function runOrder({ nodes }: Graph): GraphNode[] {
  const makers = new Map<string, number>();
  for (const [index, { outputs }] of nodes.entries()) for (const output of outputs) makers.set(output, index);
  const before = nodes.map(({ inputs }) => {
    const indices = new Set(inputs.flatMap((input) => makers.get(input) ?? []));
    return [...indices].sort((a, b) => a - b);
  });
  const read = new Set(before.flat());
  const stack = nodes.flatMap((_, index) => (read.has(index) ? [] : [{ index, leave: false }]));
  const visited = new Set<number>();
  const order: GraphNode[] = [];
  for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
    const node = nodes[entry.index];
    if (node === undefined) continue;
    if (entry.leave) order.push(node);
    if (entry.leave || visited.has(entry.index)) continue;
    visited.add(entry.index);
    stack.push({ index: entry.index, leave: true });
    for (const index of before[entry.index] ?? []) if (!visited.has(index)) stack.push({ index, leave: false });
  }
  return order;
}
