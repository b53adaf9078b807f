/** Graphs of one node, for comparing what it computes as it is, computed beforehand, and written in other operators. */

import type { Dtype } from "../../../src/core/dtype.ts";
import type { EngineTensor } from "../../../src/engine/tensor.ts";
import type { Attribute, Graph } from "../../../src/formats/onnx/graph.ts";
import type { TensorData } from "../../../src/formats/tensor-store.ts";
import { graph, node, value } from "../../engine/graphs.ts";
import { noise } from "../numbers.ts";

export interface Input {
  readonly dtype: "f32" | "i64" | "i32" | "bool";
  readonly shape: readonly number[];
  readonly data: readonly number[];
  /** An initialiser: axes and sizes. */
  readonly known?: boolean;
}

export interface Case {
  readonly title: string;
  /** `undefined` for an optional input that is absent. */
  readonly inputs: readonly (Input | undefined)[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly outputs?: number;
  /** Results that are asked for; all of them by default. */
  readonly wanted?: readonly number[];
  /** Whether nothing can be learnt through it. */
  readonly isFlat?: boolean;
  readonly domain?: string;
  readonly opset?: number;
  /** Dtype of the results where it is not that of the first input. */
  readonly result?: Dtype;
}

let streams = 0;

/** Floats that look random. */
export const x = (...shape: number[]): Input => ({ dtype: "f32", ...noise(shape, streams++ % 30) });
export const positive = (...shape: number[]): Input => ({ dtype: "f32", ...noise(shape, streams++ % 30, [0.5, 2]) });
export const floats = (shape: readonly number[], ...data: number[]): Input => ({ dtype: "f32", shape, data });
export const ints = (shape: readonly number[], ...data: number[]): Input => ({ dtype: "i64", shape, data });
export const flags = (shape: readonly number[], ...data: number[]): Input => ({ dtype: "bool", shape, data });
/** A list of axes or sizes, as an initialiser. */
export const sizes = (...data: number[]): Input => ({ dtype: "i64", shape: [data.length], data, known: true });
export const known = (input: Input): Input => ({ ...input, known: true });
export const int = (number: number): Attribute => ({ kind: "int", value: BigInt(number) });
export const list = (...numbers: number[]): Attribute => ({ kind: "ints", value: numbers.map(BigInt) });
export const float = (number: number): Attribute => ({ kind: "float", value: number });
export const text = (string: string): Attribute => ({ kind: "string", value: string });

export function bytesOf({ dtype, data }: Input): Uint8Array {
  if (dtype === "bool") return Uint8Array.from(data);
  if (dtype === "i64") return new Uint8Array(BigInt64Array.from(data, BigInt).buffer);
  return new Uint8Array((dtype === "i32" ? Int32Array.from(data) : Float32Array.from(data)).buffer);
}

export function tensorOf(name: string, input: Input): TensorData {
  const bytes = bytesOf(input);
  const { dtype, shape } = input;
  return { name, dtype, shape, byteLength: bytes.length, source: { kind: "memory", bytes } };
}

export function engineTensor(input: Input): EngineTensor {
  const { dtype, shape, data } = input;
  if (dtype === "i64") return { dtype, shape, data: BigInt64Array.from(data, BigInt) };
  if (dtype === "bool") return { dtype, shape, data: Uint8Array.from(data) };
  if (dtype === "i32") return { dtype, shape, data: Int32Array.from(data) };
  return { dtype, shape, data: Float32Array.from(data) };
}

/** Inputs `x0`, `x1` …, results `y0`, `y1` …; results of the node that are not asked for are absent. */
export function graphOf(
  operator: string,
  { inputs, attributes, outputs = 1, wanted, domain = "", opset = 22, result }: Case,
): Graph {
  const names = inputs.map((input, index) => (input === undefined ? "" : `x${index}`));
  const results = Array.from({ length: outputs }, (_, index) => (wanted?.includes(index) === false ? "" : `y${index}`));
  const given = inputs.flatMap((input, index) => (input === undefined ? [] : [[`x${index}`, input] as const]));
  const dtype = result ?? inputs[0]?.dtype ?? "f32";
  return {
    ...graph(
      [{ ...node(operator, names, results, attributes), domain }],
      given.filter(([, input]) => input.known !== true).map(([name, input]) => value(name, input.dtype, input.shape)),
      results.filter((name) => name !== "").map((name) => value(name, dtype, undefined)),
      given.filter(([, input]) => input.known === true).map(([name, input]) => tensorOf(name, input)),
    ),
    irVersion: 10,
    opsetImports: new Map([
      ["", opset],
      ["com.microsoft", 1],
    ]),
  };
}

/** The inputs that are fed, by name. */
export function fedInputs({ inputs }: Case): Map<string, Input> {
  return new Map(
    inputs.flatMap((input, index) =>
      input === undefined || input.known === true ? [] : [[`x${index}`, input] as const],
    ),
  );
}
