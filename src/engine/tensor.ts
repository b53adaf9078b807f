/**
 * Tensors as they go into and come out of programs: a typed array over any ArrayBuffer (WebAssembly memory too, at any
 * offset), read and written in place, never copied on the way in.
 */

import type { Shape } from "../core/shape.ts";

/**
 * The dtypes that can pass, each with its array. bf16 and f16 cannot (onnxruntime-node 1.30 has no bf16, and loses f16 where
 * JavaScript has Float16Array): pass u16 and BitCast inside the graph.
 */
export interface EngineArrays {
  f32: Float32Array;
  f64: Float64Array;
  i8: Int8Array;
  i16: Int16Array;
  i32: Int32Array;
  i64: BigInt64Array;
  u8: Uint8Array;
  u16: Uint16Array;
  u32: Uint32Array;
  u64: BigUint64Array;
  /** 0 or 1. */
  bool: Uint8Array;
}

export type EngineDtype = keyof EngineArrays;

/** `data` holds exactly the elements of `shape`, in C order. */
export type EngineTensor<D extends EngineDtype = EngineDtype> = {
  [K in D]: { readonly dtype: K; readonly shape: Shape; readonly data: EngineArrays[K] };
}[D];

/** Tensors by the name of the graph's input or output. */
export type EngineTensors = ReadonlyMap<string, EngineTensor>;
