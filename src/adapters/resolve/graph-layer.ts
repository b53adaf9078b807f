/**
 * Layers of an ONNX graph: the nodes that compute with a weight say which of its axes is which, and whether the exporter
 * stored it the other way round than the layer has it.
 */

import { UnsupportedError } from "../../core/errors.ts";
import { formatShape, sameShape } from "../../core/shape.ts";
import { quote, summarise } from "../../core/text.ts";
import type { OnnxParameter } from "../../formats/onnx/parameters/parameters.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { AdapterModule } from "../adapter.ts";
import type { ResolveContext } from "./context.ts";
import { problem } from "./report.ts";

type GraphContext = Pick<ResolveContext, "model">;

/** `undefined` when the base is no graph. */
export function graphParameter({ name }: TensorData, { model }: GraphContext): OnnxParameter | undefined {
  return model.graph?.byName.get(name);
}

/** @throws {UnsupportedError} QUANTIZED_BASE, UNSUPPORTED_MODEL when a delta cannot be added to what the graph holds */
export function assertPlainValues(tensor: TensorData, context: GraphContext): void {
  const { isQuantized, isFolded, constant } = graphParameter(tensor, context) ?? {};
  const details = { file: context.model.path, subject: tensor.name };
  if (isQuantized) {
    throw new UnsupportedError("QUANTIZED_BASE", `the weight is quantised (${quote(constant?.key ?? "")})`, {
      ...details,
      hint: "merge into the original graph, then quantise the result",
    });
  }
  if (isFolded) {
    const problem = `the exporter multiplied a batch norm into the weight (${quote(constant?.key ?? "")})`;
    throw new UnsupportedError("UNSUPPORTED_MODEL", problem, {
      ...details,
      hint: "merge first and export then, or export with training=torch.onnx.TrainingMode.PRESERVE",
    });
  }
}

/**
 * Whether the weight is stored as [inputs, outputs]; an embedding's inputs are its rows.
 *
 * @throws {Misfit} when the nodes do not tell, or are no such layer
 */
export function storesInputsFirst(parameter: OnnxParameter, kind: AdapterModule["kind"]): boolean {
  const { axes, uses, constant } = parameter;
  switch (axes) {
    case "in-out":
    case "out-in":
      if (kind !== "embedding") return axes === "in-out";
      break;
    case "rows":
    case "columns":
      if (kind === "embedding") return axes === "rows";
      break;
    case "conv":
      if (kind !== "embedding") return false;
  }
  const operators = new Set(uses.map(({ node }) => node.opType));
  const found = operators.size === 0 ? "no node that is looked into" : summarise([...operators].map(quote));
  throw problem(
    `the graph does not say how ${quote(constant.key)} ${formatShape(constant.tensor.data.shape)} is a ${kind} weight: used by ${found}`,
  );
}

/**
 * Whether the graph stores the transpose of what a checkpoint has: exporters turn the weights of linear layers, and those
 * that they turn lose their names. Where the shapes of `value`, which is as in a checkpoint, tell, they decide.
 */
export function isTurned(tensor: TensorData, context: GraphContext, value?: TensorData): boolean {
  const parameter = graphParameter(tensor, context);
  const [rows, columns] = tensor.shape;
  if (parameter === undefined || tensor.shape.length !== 2) return false;
  if (value !== undefined && rows !== columns) return sameShape(value.shape, [columns ?? 0, rows ?? 0]);
  const { axes, keepsName } = parameter;
  return (axes === "in-out" || axes === "columns") && !keepsName;
}
