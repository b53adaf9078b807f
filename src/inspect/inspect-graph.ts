/**
 * What an ONNX graph says about its weights: the parameters that its constants hold, and how nodes compute with them.
 */

import type { Shape } from "../core/shape.ts";
import { findBranches } from "../formats/onnx/branches/find-branches.ts";
import type { OnnxParameters } from "../formats/onnx/parameters/parameters.ts";
import type { WeightAxes } from "../formats/onnx/weight-uses.ts";

export interface InspectedParameter {
  /** Path in the trained model, or the constant's key where nothing tells it. */
  readonly name: string;
  /** Key of the constant in the file, as `--map` takes it. */
  readonly constant: string;
  readonly isNamed: boolean;
  readonly shape: Shape;
  readonly axes: WeightAxes;
  readonly isQuantized: boolean;
  /** A batch norm is multiplied into it. */
  readonly isFolded: boolean;
  /** Operators that read it. */
  readonly operators: readonly string[];
}

export interface InspectedGraph {
  /** Version of each operator set; ONNX's own is `ai.onnx`. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly nodes: number;
  /** Layers with LoRA beside them, which `merge --fold` takes in. */
  readonly branches: readonly string[];
  readonly parameters: readonly InspectedParameter[];
}

export function inspectGraph(parameters: OnnxParameters): InspectedGraph {
  const { model, byName } = parameters;
  return {
    opsets: Object.fromEntries([...model.opsetImports].map(([domain, version]) => [domain || "ai.onnx", version])),
    nodes: model.graph.nodes.length,
    branches: findBranches(parameters).map(({ base }) => base.held.parameter.name),
    parameters: [...byName.values()].map(({ name, constant, isNamed, axes, isQuantized, isFolded, uses }) => ({
      name,
      constant: constant.key,
      isNamed,
      shape: constant.tensor.data.shape,
      axes,
      isQuantized,
      isFolded,
      operators: [...new Set(uses.map(({ node }) => node.opType))],
    })),
  };
}
