/**
 * A graph that computes a loss → a graph that computes the loss and its gradients.
 *
 * Training builds forward and backward nodes in turns (`train/step/step-graph.ts`); tests of rules differentiate whole graphs.
 */

import type { Graph } from "../../src/formats/onnx/graph.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { pruneGraph } from "../../src/graph/prune.ts";
import { ReversePass } from "../../src/graph/reverse-pass.ts";

interface GradientOptions {
  /** A value of one element; any value of the graph, not only an output. */
  readonly loss: string;
  /** Inputs or initialisers to differentiate by. */
  readonly wrt: readonly string[];
  /** Values that count as constants whatever they depend on. */
  readonly detached?: Iterable<string>;
}

/** The output that holds ∂loss/∂tensor. */
export function gradientName(tensor: string): string {
  return `gradient/${tensor}`;
}

/** The graph's own outputs, and for each tensor of `wrt` one more, `gradientName`, of its shape. */
export function gradient(graph: Graph, options: GradientOptions): Graph {
  const g = GraphBuilder.from(graph);
  const end = g.nodes.length;
  const loss = g.value(options.loss);
  const pass = new ReversePass(g, options.wrt, options.detached);
  pass.seed(loss, g.reshape(g.scalar(1), loss.shape));
  pass.walk(0, end);
  const outputs = new Map(graph.outputs.map(({ name }) => [name, g.value(name)]));
  for (const name of options.wrt) outputs.set(gradientName(name), pass.gradient(name));
  return pruneGraph(g.toGraph(graph.name, outputs));
}
