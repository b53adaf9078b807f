/**
 * Nodes that apply a weight to their data and do nothing else: products, convolutions, rows of a table.
 */

import type { OnnxNode } from "../model.ts";
import type { OnnxParameter } from "../parameters/parameters.ts";
import { readAttribute } from "../read-attribute.ts";
import { axesAt, readInt, type WeightAxes, type WeightUse } from "../weight-uses.ts";
import type { WireReader } from "../wire-reader.ts";

/** What a node reads at one of its inputs. */
export interface WeightAt {
  readonly use: WeightUse;
  readonly parameter: OnnxParameter;
}

export interface LinearMap {
  readonly kind: "linear" | "conv" | "embedding";
  readonly node: OnnxNode;
  /** Name of the value that the weight is applied to. */
  readonly data: string;
  /** Name of the weight's value at the node. */
  readonly weight: string;
  readonly axes: WeightAxes;
  /** `undefined` for a weight that is an input of the graph without a value of its own. */
  readonly held: WeightAt | undefined;
  readonly hasBias: boolean;
}

/** Which weights nodes read, and names of graph inputs, which may stand for weights too. */
export interface WeightTable {
  readonly wire: WireReader;
  readonly weights: ReadonlyMap<OnnxNode, ReadonlyMap<number, WeightAt>>;
  readonly graphInputs: ReadonlySet<string>;
}

/** @returns `undefined` for other nodes, and for those with factors or more data of their own */
export function linearMapOf(node: OnnxNode, table: WeightTable): LinearMap | undefined {
  switch (node.opType) {
    case "MatMul":
      return mapAt(node, 1, 0, "linear", table) ?? mapAt(node, 0, 1, "linear", table);
    case "Gemm": {
      const isPlain = readFloat(table.wire, node, "alpha") === 1 && readFloat(table.wire, node, "beta") === 1;
      return isPlain && readInt(table.wire, node, "transA") === 0n ? mapAt(node, 1, 0, "linear", table) : undefined;
    }
    case "Conv":
      return mapAt(node, 1, 0, "conv", table);
    case "Gather":
      return mapAt(node, 0, 1, "embedding", table);
    default:
      return undefined;
  }
}

function mapAt(
  node: OnnxNode,
  weightInput: number,
  dataInput: number,
  kind: LinearMap["kind"],
  { wire, weights, graphInputs }: WeightTable,
): LinearMap | undefined {
  const [weight = "", data = ""] = [node.inputs[weightInput], node.inputs[dataInput]];
  const held = weights.get(node)?.get(weightInput);
  const isInput = graphInputs.has(weight) && /lora_[AB]/.test(weight);
  if (data === "" || (held === undefined && !isInput)) return undefined;
  const axes = held?.use.axes ?? axesAt(wire, node, weightInput);
  const hasBias = node.inputs.length > 2 && node.inputs[2] !== "" && kind !== "embedding";
  return axes === "unknown" ? undefined : { kind, node, data, weight, axes, held, hasBias };
}

/** 1, its default in Gemm, where it is not stated. */
function readFloat(wire: WireReader, node: OnnxNode, name: string): number {
  const attribute = node.attributes.find((one) => one.name === name);
  const value = attribute === undefined ? undefined : readAttribute(wire, attribute);
  return value?.kind === "float" ? value.value : 1;
}
