/**
 * Planned branches → changes of the ONNX file: other numbers for scales, and `up` factors times what is folded into them.
 *
 * Exporters share equal constants, also with nodes that have nothing to do with LoRA: those go on reading what they read.
 */

import { layerName, tensorOf } from "../../adapters/branch-adapter.ts";
import { matrixOf } from "../../adapters/matrix.ts";
import { blockOf, copyOf, type OutputTensor } from "../../adapters/output/output-tensor.ts";
import { encodeElement } from "../../core/cast/float-codec.ts";
import { floatBytes, isFloatDtype } from "../../core/dtype.ts";
import { elementCount } from "../../core/shape.ts";
import type { LinearMap, WeightAt } from "../../formats/onnx/branches/linear-map.ts";
import type { ScaleNumber } from "../../formats/onnx/branches/scale-chain.ts";
import { OnnxEditor } from "../../formats/onnx/editor.ts";
import type { NewTensor } from "../../formats/onnx/encode-piece.ts";
import type { OnnxConstant } from "../../formats/onnx/model.ts";
import type { OnnxParameters } from "../../formats/onnx/parameters/parameters.ts";
import { SharedConstants } from "../../formats/onnx/shared-constants.ts";
import type { WeightUse } from "../../formats/onnx/weight-uses.ts";
import type { BranchPlan } from "./plan-graph.ts";

export interface EditedScales {
  readonly editor: OnnxEditor;
  /** Factors to be multiplied into the output, by the key of the constant there; named as they were. */
  readonly products: ReadonlyMap<string, OutputTensor>;
}

/** One new value of a constant. */
interface Edit {
  /** Of a constant of its own, where it needs one. */
  readonly name: string;
  readonly uses: Set<WeightUse>;
  readonly tensor: NewTensor;
  readonly product?: OutputTensor;
}

/** @throws {UnsupportedError} UNSUPPORTED_MODEL when a shared constant cannot be parted */
export function editScales(graph: OnnxParameters, plans: readonly BranchPlan[]): EditedScales {
  const editor = new OnnxEditor(graph.model);
  const shared = new SharedConstants(editor, graph);
  const products = new Map<string, OutputTensor>();
  for (const [constant, byValue] of editsByConstant(plans)) {
    const edits = [...byValue.values()];
    const keys = shared.edit(
      constant,
      edits.map(({ name, uses, tensor }) => ({ tensor, users: [{ name, uses: [...uses] }] })),
    );
    for (const [index, key] of keys.entries()) {
      const product = edits[index]?.product;
      if (product !== undefined) products.set(key, product);
    }
  }
  return { editor, products };
}

/** Uses that get the same value share it. */
function editsByConstant(plans: readonly BranchPlan[]): Map<OnnxConstant, Map<string, Edit>> {
  const edits = new Map<OnnxConstant, Map<string, Edit>>();
  const add = ({ use }: WeightAt, name: string, value: string, make: () => Pick<Edit, "tensor" | "product">) => {
    const own = edits.get(use.constant) ?? new Map<string, Edit>();
    edits.set(use.constant, own);
    const edit = own.get(value) ?? { name, uses: new Set(), ...make() };
    own.set(value, edit);
    edit.uses.add(use);
  };
  for (const { branch, module, numbers } of plans) {
    const { up, scaleNumbers } = branch;
    const { factor } = module;
    const layer = layerName(branch);
    if (factor !== 1 && up.held !== undefined) {
      add(up.held, `${layer}.lora_B.weight`, `times ${factor}`, () => multiplied(up, factor));
    }
    for (const [index, one] of scaleNumbers.entries()) {
      const number = numbers[index] ?? one.number;
      if (number === one.number) continue;
      add(one.held, `${layer}.lora_scale`, `is ${number}`, () => ({ tensor: numberTensor(one, number) }));
    }
  }
  return edits;
}

function multiplied(up: LinearMap, factor: number): Pick<Edit, "tensor" | "product"> {
  const stored = tensorOf(up);
  const { dtype, shape } = stored;
  const view = matrixOf(stored, 1, elementCount(shape) ?? 0);
  return { tensor: { dtype, shape }, product: { ...copyOf(stored), blocks: [blockOf(view, { factor })] } };
}

function numberTensor({ held }: ScaleNumber, number: number): NewTensor {
  const { dtype, shape } = held.use.constant.tensor.data;
  if (!isFloatDtype(dtype)) throw new RangeError(`a scale is a float, this is ${dtype}`);
  const bytes = new Uint8Array(floatBytes(dtype));
  encodeElement(dtype, number, bytes, 0);
  return { dtype, shape, source: { kind: "memory", bytes } };
}
