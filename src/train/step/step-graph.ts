/**
 * The base's forward pass with its adapters, the loss over a batch of fixed size, and the gradient of every trained tensor,
 * as one graph.
 *
 * Trained tensors are inputs, by their names. The loss is the sum over scored tokens: micro-batches are added up before
 * anything is divided.
 */

import type { Shape } from "../../core/shape.ts";
import type { Graph } from "../../formats/onnx/graph.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/call.ts";
import { crossEntropy } from "../../graph/cross-entropy.ts";
import { adaptEmbedding, adaptLinear } from "../../graph/lora.ts";
import { orderForMemory } from "../../graph/order.ts";
import { pruneGraph } from "../../graph/prune.ts";
import { walkRecomputing } from "../../graph/recompute.ts";
import { ReversePass } from "../../graph/reverse-pass.ts";
import { widenAtUse } from "../../graph/widen-at-use.ts";
import type { AdaptLayer } from "../../models/build/layer-builder.ts";
import { type Part, partName, partNames, partShapes } from "../adapter/parts.ts";
import type { SelectedModule } from "../adapter/select-modules.ts";
import type { Base } from "../base/base.ts";
import { declareTokenInputs, LABELS } from "../base/token-inputs.ts";
import { LOGIT_ROWS } from "./logit-rows.ts";

export interface StepGraphOptions {
  readonly base: Base;
  readonly modules: readonly SelectedModule[];
  /** Weights of the base that are trained whole. */
  readonly saved: readonly string[];
  readonly dora: boolean;
  readonly rows: number;
  readonly length: number;
  /** Positions that get logits, as a batch lists them; all without it. */
  readonly logitRows?: number | undefined;
  /** Rows of logits that exist at a time. */
  readonly chunkRows: number;
  /** Keep one value a block and compute the others again on the way back. */
  readonly recompute: boolean;
  readonly dropout: boolean;
  /** Without gradients the graph is an evaluation: no dropout either. */
  readonly gradients: boolean;
}

export interface DropoutMask {
  readonly module: string;
  /** Name of the input, f32: 0 or 1/(1 − p). */
  readonly input: string;
  readonly shape: Shape;
}

export interface StepGraph {
  readonly graph: Graph;
  readonly loss: string;
  /** Name of the output that holds the gradient, by the trained tensor's name. */
  readonly gradients: ReadonlyMap<string, string>;
  readonly masks: readonly DropoutMask[];
  /** Size of the input that lists the positions which get logits; `undefined` where all do. */
  readonly logitRows: number | undefined;
}

export function buildStepGraph(options: StepGraphOptions): StepGraph {
  const { base, rows, length, chunkRows, saved } = options;
  const g = new GraphBuilder();
  const inputs = declareTokenInputs(g, rows, length);
  const labels = g.input(LABELS, "i64", [rows, length]);
  const trained = [...options.modules.flatMap((module) => partNames(module, options.dora)), ...saved];
  const pass = options.gradients ? new ReversePass(g, trained) : undefined;
  const adapters = new AdapterInputs(g, options, pass);
  const { hidden, project } = base.forward(g, inputs, adapters.adapt, new Set(saved));
  const end = g.nodes.length;
  const logitRows = options.logitRows === rows * length ? undefined : options.logitRows;
  const only = logitRows === undefined ? undefined : g.input(LOGIT_ROWS, "i64", [logitRows]);
  const loss = crossEntropy(g, { hidden, labels, project, chunkRows, ...(only && { only }), ...(pass && { pass }) });
  const gradients = new Map<string, Value>();
  if (pass !== undefined) {
    if (options.recompute) walkRecomputing(g, pass, 0, end, hidden);
    else pass.walk(0, end);
    for (const name of trained) gradients.set(name, pass.gradient(name));
  }
  const outputs = new Map([loss, ...gradients.values()].map((value) => [value.name, value]));
  const graph = widenAtUse(orderForMemory(pruneGraph(g.toGraph("training-step", outputs))));
  return {
    graph,
    loss: loss.name,
    gradients: new Map(Array.from(gradients, ([name, value]) => [name, value.name])),
    masks: adapters.masks,
    logitRows,
  };
}

/** Declares the inputs of adapters as their layers are built. */
class AdapterInputs {
  readonly masks: DropoutMask[] = [];
  readonly #g: GraphBuilder;
  readonly #options: StepGraphOptions;
  readonly #pass: ReversePass | undefined;
  readonly #modules: ReadonlyMap<string, SelectedModule>;
  readonly #inputs = new Map<string, Value>();

  constructor(g: GraphBuilder, options: StepGraphOptions, pass: ReversePass | undefined) {
    this.#g = g;
    this.#options = options;
    this.#pass = pass;
    this.#modules = new Map(options.modules.map((selected) => [selected.layer.module, selected]));
  }

  /** What `Base.forward` calls with each layer; with the head once for each chunk of rows. */
  readonly adapt: AdaptLayer = ({ module }, layer) => {
    const selected = this.#modules.get(module);
    if (selected === undefined) return layer.base;
    const shapes = partShapes(selected);
    const part = (name: Part) => this.#input(partName(module, name), shapes[name]);
    const lora = { down: part("down"), up: part("up"), scale: selected.scale };
    if (selected.layer.kind === "embedding") return adaptEmbedding(this.#g, layer.base, layer.x, lora).y;
    const { y, norms } = adaptLinear(this.#g, layer, {
      ...lora,
      ...(this.#options.dora && { magnitude: part("magnitude") }),
      ...(this.#options.dropout && this.#pass !== undefined && { dropoutMask: this.#mask(module, layer.x.shape) }),
    });
    if (norms !== undefined) this.#pass?.detach(norms);
    return y;
  };

  #input(name: string, shape: Shape): Value {
    const known = this.#inputs.get(name);
    if (known !== undefined) return known;
    const input = this.#g.input(name, "f32", shape);
    this.#inputs.set(name, input);
    return input;
  }

  #mask(module: string, shape: Shape): Value {
    const input = this.#g.input(`${module}/dropout.${this.masks.length}`, "f32", shape);
    this.masks.push({ module, input: input.name, shape });
    return input;
  }
}
