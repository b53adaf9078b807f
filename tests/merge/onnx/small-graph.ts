/** Graphs of a few layers, built field by field as exporters write them. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeElement } from "../../../src/core/cast/float-codec.ts";
import { type Dtype, floatBytes, isFloatDtype } from "../../../src/core/dtype.ts";
import { DTYPE_ELEMENT_TYPES } from "../../../src/formats/onnx/element-type.ts";
import {
  type Bytes,
  concat,
  intAttribute,
  type ModelParts,
  modelBytes,
  nodeBytes,
  sub,
  tensorBytes,
} from "../../formats/onnx/build.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

/** Multiples of 1/8 between −1 and 1, exact in every float dtype, as in the small models of safetensors. */
const steps = (index: number) => ((index * 7) % 17) / 8 - 1;

export interface SmallConstant {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype?: Dtype;
  readonly value?: (index: number) => number;
}

/** A tensor with `raw_data`. */
export function constant({ name, shape, dtype = "f32", value = steps }: SmallConstant): Bytes {
  const count = shape.reduce((product, size) => product * size, 1);
  if (!isFloatDtype(dtype)) {
    const raw = new Uint8Array(count).map((_, index) => index % 100);
    return tensorBytes({ name, dims: shape, type: DTYPE_ELEMENT_TYPES[dtype], raw });
  }
  const width = floatBytes(dtype);
  const raw = new Uint8Array(count * width);
  for (let index = 0; index < count; index++) encodeElement(dtype, value(index), raw, index * width);
  return tensorBytes({ name, dims: shape, type: DTYPE_ELEMENT_TYPES[dtype], raw });
}

/** Element (column, row) of the usual [rows, columns] matrix of steps: what an exporter stores of it. */
export function turned(rows: number, columns: number): (index: number) => number {
  return (index) => steps((index % rows) * columns + Math.floor(index / rows));
}

export function named(
  name: string,
  opType: string,
  inputs: readonly string[],
  output: string,
  ...attributes: Bytes[]
): Bytes {
  return concat(nodeBytes(opType, inputs, [output], ...attributes), sub(3, name));
}

/** x → base + scale · (x · a) · b: the constants `q.weight` [6, 8], `a` [8, 2], `b` [2, 6], and one that is the scale. */
export function branchNodes(scale: string): readonly Bytes[] {
  return [
    named("/q/Gemm", "Gemm", ["x", "q.weight"], "base", intAttribute("transB", 1)),
    named("/q/A", "MatMul", ["x", "a"], "low"),
    named("/q/B", "MatMul", ["low", "b"], "high"),
    named("/q/Mul", "Mul", [scale, "high"], "scaled"),
    named("/q/Add", "Add", ["scaled", "base"], "sum"),
  ];
}

/** Writes a model; returns its path. */
export function writeGraph(parts: ModelParts, name = "model.onnx"): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, modelBytes(parts));
  return path;
}

/** Input of small graphs: three rows of 8. */
export function someRows() {
  const bytes = new Uint8Array(Float32Array.from({ length: 24 }, (_, index) => Math.sin(index)).buffer);
  return { name: "x", dtype: "f32", shape: [3, 8], byteLength: 96, source: { kind: "memory", bytes } } as const;
}
