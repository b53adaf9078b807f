/**
 * The constants of an ONNX model → the tensors of a checkpoint.
 *
 * A constant whose parameter is known goes under the parameter's name, the way a checkpoint has it: what the exporter
 * turned is turned back, and a wrapper around the model that was exported is taken off its names. A matrix that layers
 * multiply by and that has no name is refused; other constants without one (masks, tables, folded norms) are told.
 */

import { describeArchitecture } from "../../adapters/architecture/architecture.ts";
import { matrixOf, transpose } from "../../adapters/matrix.ts";
import { copyOf, type OutputTensor, tensorOfView } from "../../adapters/output/output-tensor.ts";
import { assertPlainValues, isTurned } from "../../adapters/resolve/graph-layer.ts";
import { isFloatDtype } from "../../core/dtype.ts";
import { MismatchError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import { quote, summarise } from "../../core/text.ts";
import type { Model } from "../../formats/model.ts";
import type { OnnxParameter, OnnxParameters } from "../../formats/onnx/parameters/parameters.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import { isDerivedBuffer } from "../../models/derived-buffers.ts";

export interface CheckpointTensors {
  readonly tensors: readonly OutputTensor[];
  readonly notes: readonly string[];
  readonly warnings: readonly string[];
}

/** What checkpoints of language models begin their names with. */
const ROOTS = /^(?:model|transformer|gpt_neox|lm_head|embed_out)\./;

/** @throws {MismatchError} MODEL_MISMATCH with every matrix whose name is not known */
export function parameterTensors(model: Model, graph: OnnxParameters): CheckpointTensors {
  const { path, store } = model;
  const parameters = [...graph.byName.values()];
  const unnamed = parameters.filter(({ isNamed, constant }) => !isNamed && holdsNumbers(constant.tensor.data));
  const lost = unnamed.filter(isFactor);
  if (lost.length > 0 || unnamed.length === parameters.length) {
    const summary = "nothing tells which parameters of the trained model these are:";
    throw new MismatchError(
      "MODEL_MISMATCH",
      lost.length > 0 ? summary : "no parameter has a name",
      lost.map(describe),
      {
        file: path,
        hint: "export the model again with torch.onnx.export(…, dynamo=True), which keeps the names",
      },
    );
  }
  const { tie } = describeArchitecture(model);
  const tensors = parameters.flatMap(({ name, isNamed }) => {
    const tensor = store.tensors.get(name);
    const isTiedHead = tie !== undefined && name === tie.output && store.tensors.has(tie.input);
    if (!isNamed || tensor === undefined || isTiedHead || isDerivedBuffer(name)) return [];
    assertPlainValues(tensor, { model });
    return [isTurned(tensor, { model }) ? turned(tensor) : copyOf(tensor)];
  });
  const wrapper = wrapperOf(tensors.map(({ name }) => name));
  const left = summarise(unnamed.map(describe), 8);
  return {
    tensors: tensors.map((tensor) => ({ ...tensor, name: tensor.name.slice(wrapper.length) })),
    notes: wrapper === "" ? [] : [`the names stand under ${quote(wrapper)} in the graph`],
    warnings: unnamed.length === 0 ? [] : [`not written, because nothing tells what they are: ${left}`],
  };
}

function turned(tensor: TensorData): OutputTensor {
  const [rows = 0, columns = 0] = tensor.shape;
  return tensorOfView(tensor.name, transpose(matrixOf(tensor, rows, columns)));
}

/** More than a factor or an epsilon. */
function holdsNumbers({ dtype, shape }: TensorData): boolean {
  return isFloatDtype(dtype) && shape.some((size) => size > 1);
}

/** A matrix or kernel that a layer multiplies by. Tables that rows are picked from may be computed, such as positions'. */
function isFactor({ axes, constant }: OnnxParameter): boolean {
  const { shape } = constant.tensor.data;
  const multiplies = axes === "in-out" || axes === "out-in" || axes === "conv";
  return multiplies && shape.length >= 2 && shape.every((size) => size > 1);
}

/**
 * What all names start with before a checkpoint's own begin: the module that was put around the model to export it. The
 * language part of a model of text and images is no such wrapper.
 */
function wrapperOf(names: readonly string[]): string {
  const [first = ""] = names;
  const wrapper = first.slice(0, first.indexOf(".") + 1);
  const isWrapped = names.every((name) => name.startsWith(wrapper) && ROOTS.test(name.slice(wrapper.length)));
  return isWrapped && wrapper !== "language_model." ? wrapper : "";
}

function describe({ constant, uses }: OnnxParameter): string {
  const { dtype, shape } = constant.tensor.data;
  const operators = [...new Set(uses.map(({ node }) => node.opType))].map(quote);
  return `${quote(constant.key)} ${dtype} ${formatShape(shape)} (used by ${summarise(operators, 3) || "nothing"})`;
}
