/**
 * Layers of a model as nodes, each listed with what an adapter needs to know of it.
 *
 * A Linear is a Gemm by its weight as the checkpoint has it, [out, in] or for Conv1D [in, out], so that an initialiser
 * is byte for byte the checkpoint's tensor. Weights of other dtypes are cast to f32: ONNX Runtime multiplies bf16 on no
 * processor.
 */

import type { TensorData } from "../../formats/tensor-store.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/call.ts";
import type { LinearLayer } from "../../graph/lora.ts";
import type { WeightLookup } from "../bind-weights.ts";
import type { EmbeddingDescription, LinearDescription } from "../description.ts";
import { nodeName } from "./node-name.ts";

/** A layer that an adapter may be put on. */
export interface ModelLayer {
  /** Path at run time, as adapters name it. */
  readonly module: string;
  /** Name of the tensor in the checkpoint. */
  readonly weight: string;
  readonly kind: LinearDescription["kind"] | "embedding";
  /** Size of an input row; rows of the table for an embedding. */
  readonly inputs: number;
  readonly outputs: number;
  /** Name of the value that its Gemm or Gather computes, the first of them where it is used several times. */
  readonly output: string;
  /** Number of its block; `undefined` outside of blocks. */
  readonly block: number | undefined;
}

/**
 * Called with each layer as it is built; what it returns takes the place of `layer.base`. An embedding has the indices
 * as x.
 */
export type AdaptLayer = (layer: ModelLayer, values: LinearLayer) => Value;

export class LayerBuilder {
  readonly g: GraphBuilder;
  readonly #lookup: WeightLookup;
  readonly #adapt: AdaptLayer;
  readonly #stored = new Map<TensorData, Value>();
  readonly #widened = new Map<TensorData, Value>();
  readonly #layers = new Map<string, ModelLayer>();
  /** Module that a weight was first used by, by the weight's name. */
  readonly #owners = new Map<string, string>();

  constructor(g: GraphBuilder, lookup: WeightLookup, adapt: AdaptLayer = (_, { base }) => base) {
    this.g = g;
    this.#lookup = lookup;
    this.#adapt = adapt;
  }

  /** In the order in which they were built or declared. */
  get layers(): readonly ModelLayer[] {
    return [...this.#layers.values()];
  }

  /** A weight in f32. */
  weight(name: string): Value {
    const tensor = this.#lookup(name);
    const value = this.#widened.get(tensor) ?? this.g.cast(this.#tensor(name), "f32");
    this.#widened.set(tensor, value);
    return value;
  }

  /** Lists a linear layer. */
  declare({ module, kind, weight, inputs, outputs }: LinearDescription, block: number | undefined): ModelLayer {
    return this.#list({ module, weight: this.#lookup(weight).name, kind, inputs, outputs, output: module, block });
  }

  /** Rows [n, in] → [n, out] */
  linear(description: LinearDescription, x: Value, block?: number): Value {
    const layer = this.declare(description, block);
    const weight = this.weight(description.weight);
    const bias = description.bias === undefined ? undefined : this.weight(description.bias);
    const transposed = layer.kind === "linear";
    const base = this.g.gemm(x, weight, {
      transposeRight: transposed,
      ...(bias !== undefined && { summand: bias }),
      names: { node: nodeName(this.#pathOf(layer), "Gemm"), result: layer.output },
    });
    return this.#adapt(layer, { x, weight, transposed, base, ...(bias !== undefined && { bias }) });
  }

  /** Indices [b, s] → rows [b · s, width] */
  embedding({ module, weight, rows, width, scale }: EmbeddingDescription, indices: Value): Value {
    const { g } = this;
    const table = this.#tensor(weight);
    const layer = this.#list({
      module,
      weight: this.#lookup(weight).name,
      kind: "embedding",
      inputs: rows,
      outputs: width,
      output: module,
      block: undefined,
    });
    // A cast of the rows that are picked, not of the table.
    const names = { node: nodeName(this.#pathOf(layer), "Gather"), result: layer.output };
    const base = g.cast(g.gather(table, indices, 0, names), "f32");
    const y = g.reshape(this.#adapt(layer, { x: indices, weight: table, transposed: false, base }), [-1, width]);
    return scale === 1 ? y : g.mul(y, g.scalar(scale));
  }

  #list(layer: ModelLayer): ModelLayer {
    const known = this.#layers.get(layer.module);
    if (known !== undefined) return known;
    this.#layers.set(layer.module, layer);
    if (!this.#owners.has(layer.weight)) this.#owners.set(layer.weight, layer.module);
    return layer;
  }

  /** As the checkpoint calls the layer; one that has its weight from another layer goes by its own path. */
  #pathOf({ module, weight }: ModelLayer): string {
    return this.#owners.get(weight) === module ? weight.replace(/\.weight$/, "") : module;
  }

  #tensor(name: string): Value {
    const tensor = this.#lookup(name);
    const value = this.#stored.get(tensor) ?? this.g.initialiser(tensor);
    this.#stored.set(tensor, value);
    return value;
  }
}
