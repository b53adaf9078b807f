/**
 * Makes constants of a graph into inputs, which the caller feeds at each run: what is trained, and weights that several
 * programs share instead of holding a copy each.
 */

import type { Graph } from "../formats/onnx/graph.ts";
import type { TensorData } from "../formats/tensor-store.ts";

export interface OpenedGraph {
  readonly graph: Graph;
  /** The constants that are inputs now. */
  readonly fed: ReadonlyMap<string, TensorData>;
}

export function asInputs(graph: Graph, isFed: (tensor: TensorData) => boolean): OpenedGraph {
  const fed = new Map([...graph.initialisers].filter(([, tensor]) => isFed(tensor)));
  const initialisers = new Map([...graph.initialisers].filter(([name]) => !fed.has(name)));
  const inputs = [...graph.inputs, ...Array.from(fed.values(), ({ name, dtype, shape }) => ({ name, dtype, shape }))];
  return { graph: { ...graph, initialisers, inputs }, fed };
}
