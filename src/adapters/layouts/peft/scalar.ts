/**
 * The number in a tensor with one element, for `ranknum`, which is a setting stored as a tensor.
 */

import type { Dtype } from "../../../core/dtype.ts";
import { UnsupportedError } from "../../../core/errors.ts";
import { readTensorBytes } from "../../../formats/byte-source.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";

/** @param tensor one element of f32, f64, bf16 or f16 */
export function readScalar(tensor: TensorData): number {
  const decode = DECODERS[tensor.dtype];
  if (decode === undefined) {
    throw new UnsupportedError("UNSUPPORTED_DTYPE", `expected a float dtype, got ${tensor.dtype}`, {
      subject: tensor.name,
    });
  }
  const bytes = readTensorBytes(tensor);
  return decode(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

const DECODERS: Partial<Record<Dtype, (view: DataView) => number>> = {
  f64: (view) => view.getFloat64(0, true),
  f32: (view) => view.getFloat32(0, true),
  bf16: (view) => {
    const widened = new DataView(new ArrayBuffer(4));
    widened.setUint16(2, view.getUint16(0, true), true);
    return widened.getFloat32(0, true);
  },
  f16: (view) => {
    const bits = view.getUint16(0, true);
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0x1f) return Number.NaN;
    const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
    return bits >> 15 === 0 ? magnitude : -magnitude;
  },
};
