/**
 * The named constants of a model: initialisers, sparse initialisers and the tensors of Constant nodes, of every graph.
 *
 * Two subgraphs may use one name for different values, so everything outside of the main graph carries its scope.
 */

import { FormatError } from "../../core/errors.ts";
import type { OnnxConstant, OnnxFunction, OnnxGraph, OnnxNode, OnnxSparseTensor, OnnxTensor } from "./model.ts";

/** Constants by key: the name in the main graph, `<scope>/<name>` elsewhere. */
export function collectConstants(
  graph: OnnxGraph,
  functions: readonly OnnxFunction[],
  file: string,
): Map<string, OnnxConstant> {
  const constants = new Map<string, OnnxConstant>();
  const add = (scope: string, kind: OnnxConstant["kind"], name: string, tensor: OnnxTensor | OnnxSparseTensor) => {
    const key = scope === "" ? name : `${scope}/${name}`;
    if (constants.has(key))
      throw new FormatError("DUPLICATE_KEY", "two constants have this name", { file, subject: key });
    constants.set(key, { key, name, scope, kind, tensor });
  };
  const visitNodes = (nodes: readonly OnnxNode[], scope: string) => {
    for (const node of nodes) {
      const [output] = node.outputs;
      for (const { graphs, tensors, sparseTensors, name } of node.attributes) {
        graphs.forEach(visitGraph);
        const isConstant =
          node.opType === "Constant" && node.domain === "" && (name === "value" || name === "sparse_value");
        if (!isConstant || output === undefined) continue;
        for (const tensor of [...tensors, ...sparseTensors]) add(scope, "constant node", output, tensor);
      }
    }
  };
  const visitGraph = ({ scope, nodes, initialisers, sparseInitialisers }: OnnxGraph) => {
    for (const [name, tensor] of initialisers) add(scope, "initialiser", name, tensor);
    for (const [name, tensor] of sparseInitialisers) add(scope, "sparse initialiser", name, tensor);
    visitNodes(nodes, scope);
  };
  visitGraph(graph);
  for (const { nodes, scope } of functions) visitNodes(nodes, scope);
  return constants;
}
