/**
 * LoRA that a graph computes beside its layers: y = x·W + scale · (x·A)·B, as PEFT's unmerged models, Olive and ONNX
 * Runtime GenAI's builder export it. Found by what the nodes compute, since exporters lose the names; such a sum is the
 * product of x with W + scale · A·B whatever it was meant for.
 *
 * A and B are constants or inputs of the graph (`….lora_A.weight`). Casts, and reshapes around a product, are looked
 * through. Not found: DoRA, factors with a bias of their own.
 */

import { withWire } from "../lazy.ts";
import type { OnnxNode } from "../model.ts";
import type { OnnxParameters } from "../parameters/parameters.ts";
import { type GraphLinks, linkGraphs } from "./graph-links.ts";
import { type LinearMap, linearMapOf, type WeightAt, type WeightTable } from "./linear-map.ts";
import { sameAttributes } from "./same-attributes.ts";
import { followScale, isPassing, type ScaleNumber, scaleOf } from "./scale-chain.ts";

export interface LoraBranch {
  readonly links: GraphLinks;
  /** The layer. Its weight is held by the graph. */
  readonly base: LinearMap & { readonly held: WeightAt };
  readonly down: LinearMap;
  readonly up: LinearMap;
  readonly scale: number;
  /** The constants that the scale is the product of; none where it is 1. */
  readonly scaleNumbers: readonly ScaleNumber[];
  /** Names of the values between the factors' products that would change if the scale moved from its constants into `up`. */
  readonly partlyScaled: readonly string[];
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

type Factors = Pick<LoraBranch, "down" | "up" | "scale" | "scaleNumbers" | "partlyScaled">;

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
    const { base, inner } = layer;
    const fits =
      base.kind === factors.down.kind &&
      this.#origin(base.data) === this.#origin(factors.down.data) &&
      (base.kind !== "conv" || sameAttributes(this.#table.wire, base.node, factors.down.node));
    return fits
      ? {
          links: this.#links,
          base: { ...base, held: layer.base.held },
          ...factors,
          sum,
          results: [baseOutput, ...inner],
        }
      : undefined;
  }

  /** (data · A) · B · scale; the scale may stand anywhere. */
  #factors(value: string): Factors | undefined {
    const outer = followScale(value, this.#links, this.#table);
    const up = this.#mapMaking(outer.origin);
    if (up === undefined || up.hasBias || up.kind === "embedding") return undefined;
    const inner = followScale(up.data, this.#links, this.#table);
    const down = this.#mapMaking(inner.origin);
    if (down === undefined || down.hasBias || (down.kind === "conv") !== (up.kind === "conv")) return undefined;
    const partlyScaled = [
      ...outer.values.filter((_, index) => (outer.lacking[index] ?? 0) > 0),
      ...inner.values.filter((_, index) => (inner.lacking[index] ?? 0) < inner.numbers.length),
    ];
    const scaleNumbers = [...outer.numbers, ...inner.numbers];
    return { down, up, scale: scaleOf(outer.numbers) * scaleOf(inner.numbers), scaleNumbers, partlyScaled };
  }

  #mapMaking(value: string): LinearMap | undefined {
    const node = this.#links.producers.get(value);
    return node === undefined ? undefined : linearMapOf(node, this.#table);
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
      else if (isPassing(node) || node.opType === "Reshape") at = node.inputs[0] ?? "";
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
      if (node === undefined || !(isPassing(node) || node.opType === "Reshape")) return at;
      at = node.inputs[0] ?? "";
    }
  }
}
