/**
 * Constants of a model → the nodes that compute with them, and which axis of the weight is which.
 *
 * A weight counts as used by the node that it reaches through Identity, Cast, Transpose of two axes and DequantizeLinear,
 * which exporters put in between. A name means the nearest definition: a subgraph sees those of the graphs around it.
 * ONNX operators: https://onnx.ai/onnx/operators/ (opset 28); FusedMatMul, FusedGemm and FusedConv are ONNX Runtime's.
 */

import { withWire } from "./lazy.ts";
import type { OnnxConstant, OnnxGraph, OnnxModel, OnnxNode } from "./model.ts";
import { readAttribute } from "./read-attribute.ts";
import type { WireReader } from "./wire-reader.ts";

/**
 * Axes of a weight, outermost first: `in-out` [in, out], `out-in` [out, in], `rows` one row for each index [rows, size],
 * `columns` one column for each index [size, rows], `conv` [out, in / groups, kernel …], `unknown` for any other operator or input. Axes in front of the last two are batches.
 */
export type WeightAxes = "in-out" | "out-in" | "rows" | "columns" | "conv" | "unknown";

export interface WeightUse {
  readonly constant: OnnxConstant;
  readonly graph: OnnxGraph;
  readonly node: OnnxNode;
  /** Which input of the node. */
  readonly input: number;
  /** Of the constant as it is stored. */
  readonly axes: WeightAxes;
  /** Nodes between the constant and this one, in order. */
  readonly through: readonly OnnxNode[];
  /** The constant holds codes of a quantised weight. */
  readonly isQuantized: boolean;
}

/** What a name stands for: a constant, or one that has passed through some nodes. */
interface Value {
  readonly constant: OnnxConstant;
  readonly through: readonly OnnxNode[];
  readonly isTransposed: boolean;
  readonly isQuantized: boolean;
}

interface Scope {
  /** `undefined` for a name that is defined here and stands for no constant. */
  readonly values: Map<string, Value | undefined>;
  readonly outer: Scope | undefined;
}

/** Every use of every constant of the main graph and its subgraphs, by the constant's key, in the order of the nodes. */
export function findWeightUses(model: OnnxModel): Map<string, WeightUse[]> {
  const uses = new Map<string, WeightUse[]>();
  const constants = new Map<string, OnnxConstant[]>();
  for (const constant of model.constants.values()) {
    const inScope = constants.get(constant.scope) ?? [];
    inScope.push(constant);
    constants.set(constant.scope, inScope);
  }
  withWire(model, (wire) => {
    const visit = (graph: OnnxGraph, outer: Scope | undefined) => {
      const scope: Scope = { values: new Map(graph.inputs.map(({ name }) => [name, undefined])), outer };
      for (const constant of constants.get(graph.scope) ?? []) {
        scope.values.set(constant.name, { constant, through: [], isTransposed: false, isQuantized: false });
      }
      for (const node of graph.nodes) {
        const passed = passThrough(wire, node, scope);
        if (passed === undefined) {
          node.inputs.forEach((name, input) => {
            const value = name === "" ? undefined : lookUp(scope, name);
            if (value !== undefined) addUse(uses, wire, value, { graph, node, input });
          });
        }
        const [first] = node.outputs;
        for (const output of node.outputs) {
          if (!scope.values.has(output)) scope.values.set(output, output === first ? passed : undefined);
        }
        for (const { graphs } of node.attributes) for (const inner of graphs) visit(inner, scope);
      }
    };
    visit(model.graph, undefined);
  });
  return uses;
}

function lookUp(scope: Scope, name: string): Value | undefined {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) {
    if (at.values.has(name)) return at.values.get(name);
  }
  return undefined;
}

/** What comes out of a node that only hands a constant on; `undefined` for any other node. */
function passThrough(wire: WireReader, node: OnnxNode, scope: Scope): Value | undefined {
  const [name] = node.inputs;
  const value = name === undefined || name === "" ? undefined : lookUp(scope, name);
  if (value === undefined) return undefined;
  const through = [...value.through, node];
  switch (node.opType) {
    case "Identity":
    case "Cast":
      return { ...value, through };
    case "DequantizeLinear":
      return { ...value, through, isQuantized: true };
    case "Transpose": {
      if (value.constant.tensor.data.shape.length !== 2) return undefined;
      const permutation = readInts(wire, node, "perm");
      const isTransposed = permutation[0] === 0n ? value.isTransposed : !value.isTransposed;
      return { ...value, through, isTransposed };
    }
    default:
      return undefined;
  }
}

function addUse(
  uses: Map<string, WeightUse[]>,
  wire: WireReader,
  { constant, through, isTransposed, isQuantized }: Value,
  place: Pick<WeightUse, "graph" | "node" | "input">,
): void {
  const seen = axesAt(wire, place.node, place.input);
  const axes = isTransposed ? TRANSPOSED[seen] : seen;
  const list = uses.get(constant.key) ?? [];
  list.push({ constant, ...place, axes, through, isQuantized });
  uses.set(constant.key, list);
}

const TRANSPOSED: Readonly<Record<WeightAxes, WeightAxes>> = {
  "in-out": "out-in",
  "out-in": "in-out",
  // An embedding that shares the weight of its model's head.
  rows: "columns",
  columns: "rows",
  conv: "unknown",
  unknown: "unknown",
};

/** Axes of a weight as the node sees it at one of its inputs. */
export function axesAt(wire: WireReader, node: OnnxNode, input: number): WeightAxes {
  switch (node.opType) {
    case "MatMul":
      return PRODUCT_AXES[input] ?? "unknown";
    case "Gemm":
    case "FusedGemm":
    case "FusedMatMul": {
      const axes = PRODUCT_AXES[input] ?? "unknown";
      return readInt(wire, node, input === 0 ? "transA" : "transB") === 0n ? axes : TRANSPOSED[axes];
    }
    case "Gather":
      return input === 0 && readInt(wire, node, "axis") === 0n ? "rows" : "unknown";
    case "Conv":
    case "FusedConv":
      return input === 1 ? "conv" : "unknown";
    default:
      return "unknown";
  }
}

/** x·W has W [in, out]; W·x has W [out, in]. */
const PRODUCT_AXES: readonly WeightAxes[] = ["out-in", "in-out"];

/** An integer attribute; 0, its default in every operator here, where it is not stated. */
export function readInt(wire: WireReader, node: OnnxNode, name: string): bigint {
  const attribute = node.attributes.find((one) => one.name === name);
  const value = attribute === undefined ? undefined : readAttribute(wire, attribute);
  return value?.kind === "int" ? value.value : 0n;
}

function readInts(wire: WireReader, node: OnnxNode, name: string): readonly bigint[] {
  const attribute = node.attributes.find((one) => one.name === name);
  const value = attribute === undefined ? undefined : readAttribute(wire, attribute);
  return value?.kind === "ints" ? value.value : [];
}
