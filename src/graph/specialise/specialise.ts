/**
 * A graph as exporters write it → the same computation for given input shapes, in the operators of training graphs.
 *
 * Sizes, masks and positions that follow from shapes and constants become constants; composite operators and forms of
 * older operator sets become `OPERATORS`; an If whose condition is known becomes its branch; floats of other widths
 * become f32. Nodes that stay keep their names. Refused: operators without a rule, sizes that depend on what is fed,
 * shapes that contradict the file, and values too large to exist.
 */

import type { Shape } from "../../core/shape.ts";
import type { Graph } from "../../formats/onnx/graph.ts";
import { GraphBuilder } from "../builder.ts";
import { pruneGraph } from "../prune.ts";
import type { Constant } from "./constant.ts";
import { declareInputs } from "./declare-inputs.ts";
import { Scope } from "./scope.ts";
import { Walk } from "./walk.ts";

/**
 * @param shapes of inputs, by name; inputs of fixed shape may be left out
 * @param constants inputs that have the same value in each run; the result has no such inputs
 * @throws {UnsupportedError} UNSUPPORTED_OPERATOR, UNSUPPORTED_MODEL, QUANTIZED_BASE
 * @throws {FormatError} INVALID_MODEL
 */
export function specialise(
  graph: Graph,
  shapes: ReadonlyMap<string, Shape>,
  constants: ReadonlyMap<string, Constant> = new Map(),
): Graph {
  const pruned = pruneGraph(graph);
  const g = new GraphBuilder();
  for (const { outputs } of pruned.nodes) g.reserve(outputs);
  g.reserve(pruned.initialisers.keys());
  const scope = new Scope();
  declareInputs(g, scope, pruned.inputs, { shapes, bound: constants });
  const walk = new Walk(g, { opset: graph.opsetImports.get("") ?? 0 });
  walk.body(pruned, scope);
  const outputs = new Map(graph.outputs.map(({ name }) => [name, walk.emitter.emit(scope.get(name))]));
  return pruneGraph(g.toGraph(graph.name, outputs));
}
