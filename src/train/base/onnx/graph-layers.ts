/**
 * Parameters of an exported model → the layers that adapters can be put on, by the paths that PEFT has for them.
 *
 * A script that exports often wraps the model, and every path then starts with the wrapper's name for it; what stands in
 * front of the head's own name is that wrapper. Weights that exporters turned lie as [in, out], as those of a Conv1D do
 * from the start; those of a Conv1D keep their names.
 */

import { parentPath } from "../../../core/text.ts";
import type { OnnxParameter, OnnxParameters } from "../../../formats/onnx/parameters/parameters.ts";
import type { BaseLayer } from "../base.ts";

export interface GraphLayer extends BaseLayer {
  /** Names of the values that nodes compute with the weight: one, but for layers that are called several times. */
  readonly results: readonly string[];
  /** Whether something else computes with the same constant: the head with an embedding's table. */
  readonly isShared: boolean;
}

/** Operators whose second input, or for a Gather first, is a layer's weight. */
const WEIGHT_INPUTS: ReadonlyMap<string, number> = new Map([
  ["MatMul", 1],
  ["Gemm", 1],
  ["Gather", 0],
]);

const WEIGHT = ".weight";
const BLOCK = /\.(\d+)\./;

export interface NamedParameters {
  readonly layers: readonly GraphLayer[];
  /** Initialisers → what adapters call the parameters that they hold as the model has them. */
  readonly names: ReadonlyMap<string, string>;
  /** The same for matrices of linear layers that the exporter turned. */
  readonly turned: ReadonlyMap<string, string>;
  /** Constants that rows are multiplied by and that no node gives a name: they can have no adapter. */
  readonly unnamed: readonly string[];
}

/** @param head the value that the last projection computes */
export function nameParameters(parameters: OnnxParameters, head: string | undefined): NamedParameters {
  const { byName, useCounts } = parameters;
  const found = [...byName.values()].flatMap((parameter) => {
    const layer = layerOf(parameter, head);
    const uses = useCounts.get(parameter.constant.key) ?? 0;
    return layer === undefined ? [] : { ...layer, isShared: uses > layer.results.length };
  });
  const wrapper = wrapperOf(found);
  const own = (path: string) => (path.startsWith(wrapper) ? path.slice(wrapper.length) : path);
  const stored = [...byName.values()].filter(
    ({ name, isNamed, constant }) => isNamed && PARAMETER.test(name) && constant.scope === "",
  );
  const turnable = new Set(
    found
      .filter(({ kind, inputsFirst, isShared }) => kind === "linear" && inputsFirst && !isShared)
      .map(({ weight }) => weight),
  );
  const isTurned = ({ constant, keepsName }: OnnxParameter) => !keepsName && turnable.has(constant.name);
  // Of a module that holds something in yet another form, nothing is trained whole.
  const changed = new Set(stored.filter((one) => !one.keepsName && !isTurned(one)).map(({ name }) => parentPath(name)));
  const whole = stored.filter(({ name }) => !changed.has(parentPath(name)));
  const named = (parameters: readonly OnnxParameter[]) =>
    new Map(parameters.map(({ name, constant }) => [constant.name, own(name)]));
  return {
    layers: found.map((layer) => ({ ...layer, module: own(layer.module) })),
    names: named(whole.filter((one) => !isTurned(one))),
    turned: named(whole.filter(isTurned)),
    unnamed: [...byName.values()].flatMap((one) => (!one.isNamed && isProduct(one) ? one.constant.name : [])),
  };
}

const PARAMETER = /\.(?:weight|bias)$/;

function isProduct({ constant, uses }: OnnxParameter): boolean {
  const { shape } = constant.tensor.data;
  return shape.length === 2 && uses.some(({ node, input }) => input === 1 && WEIGHT_INPUTS.get(node.opType) === input);
}

/** The named weight of a linear layer or an embedding of the main graph, as the nodes that are that layer see it. */
function layerOf(parameter: OnnxParameter, head: string | undefined): Omit<GraphLayer, "isShared"> | undefined {
  const { name, constant, isNamed, keepsName } = parameter;
  const isMatrix = constant.scope === "" && constant.tensor.data.shape.length === 2;
  if (!isNamed || !isMatrix || !name.endsWith(WEIGHT) || constant.kind !== "initialiser") return undefined;
  const { uses, axes } = ofOneLayer(parameter);
  if (axes !== "rows" && axes !== "in-out" && axes !== "out-in") return undefined;
  const isLayer = uses.every(
    ({ graph, node, input }) => graph.scope === "" && WEIGHT_INPUTS.get(node.opType) === input,
  );
  const results = uses.flatMap(({ node }) => node.outputs[0] ?? []);
  const [output] = results;
  if (!isLayer || output === undefined) return undefined;
  const [rows = 0, columns = 0] = constant.tensor.data.shape;
  const inputsFirst = axes !== "out-in";
  const block = BLOCK.exec(name)?.[1];
  return {
    module: parentPath(name),
    weight: constant.name,
    kind: axes === "rows" ? "embedding" : inputsFirst && keepsName ? "conv1d" : "linear",
    inputsFirst,
    inputs: inputsFirst ? rows : columns,
    outputs: inputsFirst ? columns : rows,
    output,
    block: block === undefined ? undefined : Number(block),
    isHead: head !== undefined && results.includes(head),
    results,
  };
}

/** Of a table that the head multiplies by, too, under the table's name: the embedding. */
function ofOneLayer({ uses, axes }: OnnxParameter): Pick<OnnxParameter, "uses" | "axes"> {
  const picks = uses.filter((use) => use.axes === "rows");
  return axes === "unknown" && picks.length > 0 ? { uses: picks, axes: "rows" } : { uses, axes };
}

/** What every path starts with and the head's has in front of its last part, with the dot. */
function wrapperOf(layers: readonly GraphLayer[]): string {
  const head = layers.find(({ isHead }) => isHead)?.module ?? "";
  const wrapper = head.slice(0, head.lastIndexOf(".") + 1);
  return layers.every(({ module }) => module.startsWith(wrapper)) ? wrapper : "";
}
