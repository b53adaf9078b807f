/**
 * Whether a merged graph computes what its base does: the same nodes in the same order, with the same attributes and
 * connections, but for folded branches. Constants are compared elsewhere, by the parameters that they hold.
 */

import { quote } from "../core/text.ts";
import type { BranchRemoval } from "../formats/onnx/branches/removal.ts";
import { describeAttributes } from "../formats/onnx/branches/same-attributes.ts";
import { withWire } from "../formats/onnx/lazy.ts";
import type { OnnxGraph, OnnxModel, OnnxNode } from "../formats/onnx/model.ts";
import { graphsOf } from "../formats/onnx/traverse.ts";

/** Finished, escaped lines; at most one for each graph and subgraph. */
export function graphDifferences(base: OnnxModel, merged: OnnxModel, removal: BranchRemoval | undefined): string[] {
  const renamed = new Map((removal?.renamed ?? []).map(({ node, output, name }) => [node.outputs[output] ?? "", name]));
  const [before, after] = [[...graphsOf(base)], [...graphsOf(merged)]];
  if (before.length !== after.length) return [`expected ${before.length} graphs, got ${after.length}`];
  const expected = before.map((graph) => {
    const staying = graph.nodes.filter((node) => !removal?.nodes.has(node));
    return describeGraph(base, { ...graph, nodes: staying }, renamed);
  });
  return after.flatMap((graph, index) => {
    const own = describeGraph(merged, graph, new Map());
    const right = expected[index] ?? [];
    const where = graph.scope === "" ? "the graph" : `the subgraph ${quote(graph.scope)}`;
    if (own.length !== right.length) return [`${where}: expected ${right.length} nodes, got ${own.length}`];
    const at = own.findIndex((text, node) => text !== right[node]);
    return at < 0 ? [] : [`${where}: node ${at} ${quote(graph.nodes[at]?.name ?? "")} is not that of the base`];
  });
}

/** One text for each node: all that decides what it computes, but for which constant holds a parameter. */
function describeGraph(model: OnnxModel, graph: OnnxGraph, renamed: ReadonlyMap<string, string>): string[] {
  const constants = new Set([...model.constants.values()].map(({ name }) => name));
  const nameOf = (value: string) => (constants.has(value) ? "constant" : (renamed.get(value) ?? value));
  return withWire(model, (wire) =>
    graph.nodes.map((node: OnnxNode) => {
      const { opType, domain, overload, inputs, outputs } = node;
      // A constant's own node holds a parameter, too.
      const attributes = opType === "Constant" ? "" : describeAttributes(wire, node);
      return JSON.stringify([opType, domain, overload, inputs.map(nameOf), outputs.map(nameOf), attributes]);
    }),
  );
}
