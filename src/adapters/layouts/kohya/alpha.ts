/**
 * The `alpha` of a module: a tensor of one number, next to the factors. Without one the scale is 1.
 */

import { decodeElement } from "../../../core/cast/float-codec.ts";
import type { DTYPE_BITS } from "../../../core/dtype.ts";
import { elementCount, formatShape } from "../../../core/shape.ts";
import { readTensorBytes } from "../../../formats/byte-source.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import type { AdapterModule } from "../../adapter.ts";
import { floatDtypeOf } from "../../load-matrix.ts";
import { copyOf, type OutputTensor } from "../../output/output-tensor.ts";
import { requireFloat } from "../peft/factor-shapes.ts";
import type { Problems } from "../peft/problems.ts";

/**
 * The alpha, which is the rank where the file has none; `undefined` after a problem was added.
 *
 * An alpha of 0 is refused: the training scripts take it for the rank, the merge scripts for a scale of 0.
 */
export function readAlpha(tensor: TensorData | undefined, rank: number, problems: Problems): number | undefined {
  if (tensor === undefined) return rank;
  const alpha = readNumber(tensor, problems);
  if (alpha === undefined) return undefined;
  if (alpha === 0) {
    problems.add(
      "ADAPTER_MISMATCH",
      tensor.name,
      "alpha is 0, which trainers take for the rank and merge scripts for no change at all",
      "write the alpha that is meant into the file",
    );
    return undefined;
  }
  return alpha;
}

/** The name of the alpha beside the factors of a module, whose own name may have gained the part of a pipeline. */
export function alphaName({ name, delta }: AdapterModule): string {
  const [, stem] = delta.kind === "lora" ? (DOWN.exec(delta.down.name) ?? []) : [];
  return `${stem ?? name}.alpha`;
}

const DOWN =
  /^(.+?)(?:\.lora_(?:down|A)|\.lora\.down|\.lora_linear_layer\.down|(?<=\.to_(?:q|k|v|out))_lora\.down)(?:\.default)?\.weight$/;

/** An alpha to be written, a scalar in f32. */
export function alphaTensor(name: string, alpha: number): OutputTensor {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, alpha, true);
  return copyOf({ name, dtype: "f32", shape: [], byteLength: 4, source: { kind: "memory", bytes } });
}

/** The only number of a tensor. */
export function readNumber(tensor: TensorData, problems: Problems): number | undefined {
  if (elementCount(tensor.shape) !== 1) {
    problems.add("ADAPTER_MISMATCH", tensor.name, `expected one number, got ${formatShape(tensor.shape)}`);
    return undefined;
  }
  const integer = INTEGERS[tensor.dtype as keyof typeof INTEGERS];
  if (integer === undefined) requireFloat(tensor);
  const bytes = readTensorBytes(tensor);
  const value = integer === undefined ? decodeElement(floatDtypeOf(tensor), bytes, 0) : integer(viewOf(bytes));
  if (Number.isFinite(value)) return value;
  problems.add("ADAPTER_MISMATCH", tensor.name, `expected a finite number, got ${value}`);
  return undefined;
}

/** Flags are saved as integers, and some scripts save whole alphas so. */
const INTEGERS = {
  bool: (view: DataView) => view.getUint8(0),
  u8: (view: DataView) => view.getUint8(0),
  i32: (view: DataView) => view.getInt32(0, true),
  i64: (view: DataView) => Number(view.getBigInt64(0, true)),
} as const satisfies Partial<Record<keyof typeof DTYPE_BITS, (view: DataView) => number>>;

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
