/** Every graph and every tensor of a model, wherever they nest. */

import type { OnnxAttribute, OnnxGraph, OnnxModel, OnnxTensor } from "./model.ts";

/** The main graph, then subgraphs of its nodes and of functions. */
export function* graphsOf(model: OnnxModel): Generator<OnnxGraph> {
  yield* nestedGraphs(model.graph);
  for (const { graphs } of functionAttributes(model)) for (const graph of graphs) yield* nestedGraphs(graph);
}

/** Every `TensorProto`, also those that are no named constant and those inside sparse tensors. */
export function* tensorsOf(model: OnnxModel): Generator<OnnxTensor> {
  const attributes = [...functionAttributes(model)];
  for (const graph of graphsOf(model)) {
    yield* graph.initialisers.values();
    for (const { values, indices } of graph.sparseInitialisers.values()) yield* [values, indices];
    for (const node of graph.nodes) attributes.push(...node.attributes);
  }
  for (const { tensors, sparseTensors } of attributes) {
    yield* tensors;
    for (const { values, indices } of sparseTensors) yield* [values, indices];
  }
}

function* nestedGraphs(graph: OnnxGraph): Generator<OnnxGraph> {
  yield graph;
  for (const { attributes } of graph.nodes) {
    for (const { graphs } of attributes) for (const inner of graphs) yield* nestedGraphs(inner);
  }
}

function* functionAttributes({ functions }: OnnxModel): Generator<OnnxAttribute> {
  for (const { nodes, defaults } of functions) {
    yield* defaults;
    for (const { attributes } of nodes) yield* attributes;
  }
}
