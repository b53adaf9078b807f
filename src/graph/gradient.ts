/**
 * A graph that computes a loss → a graph that computes the loss and its gradients.
 *
 * Reverse mode with one rule for each operator (`rules/rules.ts`). Refused: a loss that is not one f32, a tensor that the
 * loss does not depend on, operators and forms without a rule, which name their node.
 */

import { UnsupportedError } from "../core/errors.ts";
import { elementCount, formatShape } from "../core/shape.ts";
import type { Graph } from "../formats/onnx/graph.ts";
import { GraphBuilder } from "./builder.ts";
import { pruneGraph } from "./prune.ts";
import { ReversePass } from "./reverse-pass.ts";

export interface GradientOptions {
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
  if (loss.dtype !== "f32" || elementCount(loss.shape) !== 1) {
    throw new UnsupportedError(
      "UNSUPPORTED_MODEL",
      `the loss is not one f32 number, got ${loss.dtype} ${formatShape(loss.shape)}`,
      { subject: loss.name },
    );
  }
  const pass = new ReversePass(g, options.wrt, options.detached);
  pass.seed(loss, g.reshape(g.scalar(1), loss.shape));
  pass.walk(0, end);
  const outputs = new Map(graph.outputs.map(({ name }) => [name, g.value(name)]));
  for (const name of options.wrt) outputs.set(gradientName(name), pass.gradient(name));
  return pruneGraph(g.toGraph(graph.name, outputs));
}
