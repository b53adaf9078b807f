/**
 * A matrix that an exporter turned → an initialiser as the model has it, and a node that turns it: what is trained whole is
 * then what adapters store.
 */

import { DTYPE_BITS } from "../../../core/dtype.ts";
import { readTensorBytes } from "../../../formats/byte-source.ts";
import type { Graph, GraphNode } from "../../../formats/onnx/graph.ts";
import { lazyBytes } from "../../../formats/onnx/lazy.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";

/** @param weights initialisers [in, out] of the graph → names for them as [out, in] */
export function turnBack(graph: Graph, weights: ReadonlyMap<string, string>): Graph {
  const initialisers = new Map(graph.initialisers);
  const nodes: GraphNode[] = [];
  for (const [turned, name] of weights) {
    const tensor = initialisers.get(turned);
    if (tensor === undefined) continue;
    initialisers.delete(turned);
    initialisers.set(name, { ...transposed(tensor), name });
    nodes.push({ name: "", opType: "Transpose", domain: "", inputs: [name], outputs: [turned], attributes: new Map() });
  }
  return { ...graph, initialisers, nodes: [...nodes, ...graph.nodes] };
}

/** Read and turned when it is first asked for. */
function transposed(tensor: TensorData): TensorData {
  const [rows = 0, columns = 0] = tensor.shape;
  const width = DTYPE_BITS[tensor.dtype] / 8;
  const source = lazyBytes(() => {
    const bytes = readTensorBytes(tensor);
    const turned = new Uint8Array(bytes.length);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const [from, to] = [(row * columns + column) * width, (column * rows + row) * width];
        for (let byte = 0; byte < width; byte++) turned[to + byte] = bytes[from + byte] ?? 0;
      }
    }
    return turned;
  });
  return { ...tensor, shape: [columns, rows], source };
}
