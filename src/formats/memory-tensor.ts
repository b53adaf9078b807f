/**
 * Numbers that were computed → a tensor like those of files.
 */

import { bytesOf } from "../core/bytes.ts";
import type { Shape } from "../core/shape.ts";
import type { TensorData } from "./tensor-store.ts";

/** The numbers are not copied. */
export function memoryTensor(name: string, shape: Shape, values: Float32Array | Float64Array): TensorData {
  const bytes = bytesOf(values);
  const dtype = values instanceof Float64Array ? "f64" : "f32";
  return { name, dtype, shape, byteLength: bytes.byteLength, source: { kind: "memory", bytes } };
}
