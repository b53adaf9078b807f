/**
 * A description and its weights → a graph from tokens to logits, for any batch and length.
 *
 * Inputs as transformers and its ONNX exporters name them: `input_ids`, `attention_mask` (1 for tokens, 0 for padding on
 * either side) and `position_ids`, i64 [batch, sequence]; output `logits`, f32 [batch, sequence, vocabulary]. No node
 * names a size (see `buildModel`), so the graph that is built at some size is the graph of all of them.
 */

import type { Dimension, Graph, ValueInfo } from "../../formats/onnx/graph.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import { pruneGraph } from "../../graph/prune.ts";
import type { WeightLookup } from "../../models/bind-weights.ts";
import { buildModel } from "../../models/build-model.ts";
import type { ModelDescription } from "../../models/description.ts";

const [BATCH, LENGTH] = [1, 2];

export function buildInferenceGraph(model: ModelDescription, weights: WeightLookup): Graph {
  const g = new GraphBuilder();
  const input = (name: string) => g.input(name, "i64", [BATCH, LENGTH]);
  const inputIds = input("input_ids");
  const segmentIds = input("attention_mask");
  const positionIds = input("position_ids");
  const { hidden, project } = buildModel(g, model, weights, { inputIds, positionIds, segmentIds });
  const rows = project(g.reshape(hidden, [-1, model.width]));
  const logits = g.reshape(rows, g.concat([g.shape(inputIds), g.integers([model.vocabulary])], 0));
  const graph = pruneGraph(g.toGraph(model.type, new Map([["logits", logits]])));
  const dynamic = (value: ValueInfo): ValueInfo => {
    const sizes: Dimension[] = [...(value.shape ?? [])];
    sizes.splice(0, 2, "batch", "sequence");
    return { ...value, shape: sizes };
  };
  return { ...graph, inputs: graph.inputs.map(dynamic), outputs: graph.outputs.map(dynamic) };
}
