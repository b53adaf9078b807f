/**
 * An exported graph as part of a training graph: tokens to hidden rows, and rows to logits, with adapters on its layers.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import { formatShape, productOf } from "../../../core/shape.ts";
import type { Graph } from "../../../formats/onnx/graph.ts";
import type { GraphBuilder } from "../../../graph/builder.ts";
import type { Value } from "../../../graph/call.ts";
import { pruneGraph } from "../../../graph/prune.ts";
import { declareInputs } from "../../../graph/specialise/declare-inputs.ts";
import { Scope } from "../../../graph/specialise/scope.ts";
import { Walk } from "../../../graph/specialise/walk.ts";
import type { AdaptLayer } from "../../../models/build/layer-builder.ts";
import type { Forward } from "../base.ts";
import { bindInputs } from "./graph-inputs.ts";
import type { GraphLayer } from "./graph-layers.ts";
import type { Projection } from "./projection.ts";

export interface ForwardOptions {
  readonly graph: Graph;
  readonly projection: Projection;
  readonly layers: readonly GraphLayer[];
  readonly adapt: AdaptLayer;
  /** Initialisers that are trained whole. */
  readonly trained: ReadonlySet<string>;
}

/**
 * @param tokens i64 [rows, length]
 * @throws {UnsupportedError} UNSUPPORTED_MODEL when there are no logits for each token
 */
export function buildForward(
  g: GraphBuilder,
  tokens: Value,
  { graph, projection, layers, adapt, trained }: ForwardOptions,
): Forward {
  const { hidden: name, logits, chain } = projection;
  for (const { outputs } of graph.nodes) g.reserve(outputs);
  g.reserve(graph.initialisers.keys());
  const adapters = new Map(
    layers.flatMap((layer) => layer.results.map((result) => [result, (use: Use) => adapt(layer, use)] as const)),
  );
  const walk = new Walk(g, { opset: graph.opsetImports.get("") ?? 0, adapters, trained });
  const scope = new Scope();
  declareInputs(g, scope, graph.inputs, { bound: bindInputs(g, graph.inputs, tokens) });
  const inChain = new Set(chain);
  const rest = graph.nodes.filter((node) => !inChain.has(node));
  // Constants that the chain reads are computed once, whatever number of times the chain is built.
  const read = [name, ...chain.flatMap(({ inputs }) => inputs)].filter((input) => input !== "");
  const outputs = read.map((input) => ({ name: input, dtype: "f32", shape: undefined }) as const);
  walk.body(pruneGraph({ ...graph, nodes: rest, outputs }), scope);
  const hidden = asTokens(g, walk.emitter.emit(scope.get(name)), tokens, graph.name);
  let calls = 0;
  const project = (rows: Value): Value => {
    const inner = new Scope(scope, `logits.${calls++}/`);
    inner.set(name, rows);
    walk.body({ initialisers: new Map(), nodes: chain }, inner);
    const result = walk.emitter.emit(inner.get(logits));
    return result.shape.length === 2 ? result : g.reshape(result, [rows.shape[0] ?? 0, -1]);
  };
  return { hidden, project };
}

type Use = Parameters<AdaptLayer>[1];

/** [rows, length, width], however the graph has it. */
function asTokens(g: GraphBuilder, hidden: Value, tokens: Value, graph: string): Value {
  const [rows = 0, length = 0] = tokens.shape;
  const width = hidden.shape.at(-1) ?? 0;
  const before = hidden.shape.slice(0, -1);
  if (productOf(before) !== rows * length || hidden.dtype !== "f32") {
    throw new UnsupportedError(
      "UNSUPPORTED_MODEL",
      `expected logits for each of ${rows} · ${length} tokens, got ${hidden.dtype} ${formatShape(hidden.shape)}`,
      { subject: graph, hint: "export the logits of all tokens, not only the last one's" },
    );
  }
  return before.length === 2 ? hidden : g.reshape(hidden, [rows, length, width]);
}
