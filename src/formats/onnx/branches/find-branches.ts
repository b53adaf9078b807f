/**
 * LoRA that a graph computes beside its layers: y = x·W + scale · (x·A)·B, as PEFT's unmerged models, Olive and ONNX
 * Runtime GenAI's builder export it. Found by what the nodes compute, since exporters lose the names; such a sum is the
 * product of x with W + scale · A·B whatever it was meant for.
 *
 * A and B are constants or inputs of the graph (`….lora_A.weight`). Casts, and reshapes around a product, are looked
 * through. Not found: DoRA, factors with a bias of their own.
 */

import { decodeElement } from "../../../core/cast/float-codec.ts";
import { isFloatDtype } from "../../../core/dtype.ts";
import { readTensorBytes } from "../../byte-source.ts";
import { withWire } from "../lazy.ts";
import type { OnnxNode } from "../model.ts";
import type { OnnxParameters } from "../parameters/parameters.ts";
import { type GraphLinks, linkGraphs } from "./graph-links.ts";
import { type LinearMap, linearMapOf, type WeightAt, type WeightTable } from "./linear-map.ts";
import { sameAttributes } from "./same-attributes.ts";

export interface LoraBranch {
  readonly links: GraphLinks;
  /** The layer. Its weight is held by the graph. */
  readonly base: LinearMap & { readonly held: WeightAt };
  readonly down: LinearMap;
  readonly up: LinearMap;
  readonly scale: number;
  /** Adds the branch to the layer's result. */
  readonly sum: OnnxNode;
  /** Names of the layer's result, with bias, and of what it is made from, back to the output of the layer's node. */
  readonly results: readonly [result: string, ...inner: string[]];
}

export function findBranches(parameters: OnnxParameters): LoraBranch[] {
  const { model } = parameters;
  const weights = new Map<OnnxNode, Map<number, WeightAt>>();
  for (const parameter of parameters.byName.values()) {
    for (const use of parameter.uses) {
      const own = weights.get(use.node) ?? new Map<number, WeightAt>();
      weights.set(use.node, own.set(use.input, { use, parameter }));
    }
  }
  const graphInputs = new Set(model.graph.inputs.map(({ name }) => name));
  return withWire(model, (wire) =>
    linkGraphs(model).flatMap((links) => new BranchFinder(links, { wire, weights, graphInputs }).find()),
  );
}

class BranchFinder {
  readonly #links: GraphLinks;
  readonly #table: WeightTable;
  readonly #found = new Map<OnnxNode, LoraBranch>();

  constructor(links: GraphLinks, table: WeightTable) {
    this.#links = links;
    this.#table = table;
  }

  find(): LoraBranch[] {
    // In the order of the nodes: of several branches on one layer the inner one is known before the outer one.
    for (const node of this.#links.graph.nodes) {
      const isSum = node.opType === "Add" && this.#links.producers.get(node.outputs[0] ?? "") === node;
      const branch = isSum ? (this.#match(node, 0, 1) ?? this.#match(node, 1, 0)) : undefined;
      if (branch !== undefined) this.#found.set(node, branch);
    }
    return [...this.#found.values()];
  }

  #match(sum: OnnxNode, baseInput: number, deltaInput: number): LoraBranch | undefined {
    const [baseOutput = "", delta = ""] = [sum.inputs[baseInput], sum.inputs[deltaInput]];
    const factors = this.#factors(delta);
    const layer = factors === undefined ? undefined : this.#layer(baseOutput);
    if (factors === undefined || layer?.base.held === undefined) return undefined;
    const { down, up, scale } = factors;
    const { base, inner } = layer;
    const fits =
      base.kind === down.kind &&
      this.#origin(base.data) === this.#origin(down.data) &&
      (base.kind !== "conv" || sameAttributes(this.#table.wire, base.node, down.node));
    return fits
      ? {
          links: this.#links,
          base: { ...base, held: layer.base.held },
          down,
          up,
          scale,
          sum,
          results: [baseOutput, ...inner],
        }
      : undefined;
  }

  /** (data · A) · B · scale; the scale may stand anywhere. */
  #factors(value: string): { down: LinearMap; up: LinearMap; scale: number } | undefined {
    const outer = this.#withoutScale(value);
    const up = this.#mapMaking(outer.value);
    if (up === undefined || up.hasBias || up.kind === "embedding") return undefined;
    const inner = this.#withoutScale(up.data);
    const down = this.#mapMaking(inner.value);
    if (down === undefined || down.hasBias || (down.kind === "conv") !== (up.kind === "conv")) return undefined;
    return { down, up, scale: outer.scale * inner.scale };
  }

  #mapMaking(value: string): LinearMap | undefined {
    const node = this.#links.producers.get(value);
    return node === undefined ? undefined : linearMapOf(node, this.#table);
  }

  /** Back over casts and products with one number. */
  #withoutScale(value: string): { value: string; scale: number } {
    let [at, scale] = [value, 1];
    for (;;) {
      const node = this.#links.producers.get(at);
      if (node === undefined) return { value: at, scale };
      if (node.opType === "Mul" || node.opType === "Div") {
        const numbers = node.inputs.map((_, input) => this.#numberAt(node, input));
        const input = node.opType === "Div" ? 1 : numbers.findIndex((number) => number !== undefined);
        const number = numbers[input];
        if (number === undefined) return { value: at, scale };
        scale = node.opType === "Div" ? scale / number : scale * number;
        at = node.inputs[input === 0 ? 1 : 0] ?? "";
      } else if (PASSING.has(node.opType)) at = node.inputs[0] ?? "";
      else return { value: at, scale };
    }
  }

  #numberAt(node: OnnxNode, input: number): number | undefined {
    const data = this.#table.weights.get(node)?.get(input)?.use.constant.tensor.data;
    if (data === undefined || !isFloatDtype(data.dtype) || data.shape.some((size) => size !== 1)) return undefined;
    return decodeElement(data.dtype, readTensorBytes(data), 0);
  }

  /** Back from a layer's result to its weight, over its bias and over branches that are known. */
  #layer(value: string): { base: LinearMap; inner: string[] } | undefined {
    const inner: string[] = [];
    for (let at = value; ; inner.push(at)) {
      const node = this.#links.producers.get(at);
      if (node === undefined) return undefined;
      const known = this.#found.get(node);
      const bias = node.opType === "Add" ? [0, 1].find((input) => this.#isVector(node, input)) : undefined;
      if (known !== undefined) at = known.results[0];
      else if (bias !== undefined) at = node.inputs[1 - bias] ?? "";
      else if (PASSING.has(node.opType) || node.opType === "Reshape") at = node.inputs[0] ?? "";
      else {
        const base = linearMapOf(node, this.#table);
        return base === undefined ? undefined : { base, inner };
      }
    }
  }

  #isVector(node: OnnxNode, input: number): boolean {
    return this.#table.weights.get(node)?.get(input)?.use.constant.tensor.data.shape.length === 1;
  }

  /** The value before casts and reshapes. */
  #origin(value: string): string {
    let at = value;
    for (;;) {
      const node = this.#links.producers.get(at);
      if (node === undefined || !(PASSING.has(node.opType) || node.opType === "Reshape")) return at;
      at = node.inputs[0] ?? "";
    }
  }
}

/** Dropout hands its data on wherever a model is not trained. */
const PASSING: ReadonlySet<string> = new Set(["Identity", "Cast", "Dropout"]);
