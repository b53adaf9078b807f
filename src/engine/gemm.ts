/**
 * Matrix products in f32 or f64 on an engine: ONNX Gemms with free sizes, each compiled when it is first asked for.
 *
 * Sums are of the matrices' dtype in the order of the engine's kernel, so bits may differ between machines; they do not
 * between runs on one. WebGPU has no f64.
 */

import type { Attribute, Graph, ValueInfo } from "../formats/onnx/graph.ts";
import type { Engine, Program } from "./engine.ts";
import type { EngineTensor } from "./tensor.ts";

/** The dtypes that products are made in. */
type Numbers = Float32Array | Float64Array;

/** All matrices in C order and of one dtype, any view of an ArrayBuffer. `target` must not overlap the other two. */
export interface Product<Matrix extends Numbers = Numbers> {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** [m, k]; [k, m] where it is turned. */
  readonly left: Matrix;
  /** [k, n]; [n, k] where it is turned. */
  readonly right: Matrix;
  /** [m, n], written in place. */
  readonly target: Matrix;
  readonly turnLeft?: boolean;
  readonly turnRight?: boolean;
}

export interface Gemm {
  /** target += left · right */
  accumulate<Matrix extends Numbers>(product: Product<Matrix>): Promise<void>;
  /** target = left · right, whatever was in it */
  multiply<Matrix extends Numbers>(product: Product<Matrix>): Promise<void>;
  close(): Promise<void>;
}

/** Close it, or the engine, when done. */
export function openGemm(engine: Engine): Gemm {
  const programs = new Map<string, Promise<Program>>();
  const run = async (product: Product, adds: boolean): Promise<void> => {
    const { m, n, k, left, right, target, turnLeft = false, turnRight = false } = product;
    if (m === 0 || n === 0) return;
    const form: Form = { dtype: dtypeOf(target), adds, turnLeft, turnRight };
    const key = Object.values(form).join();
    const program = programs.get(key) ?? engine.compile(gemmGraph(form));
    programs.set(key, program);
    const sum = matrix(m, n, target);
    const feeds = new Map([
      ["left", turnLeft ? matrix(k, m, left) : matrix(m, k, left)],
      ["right", turnRight ? matrix(n, k, right) : matrix(k, n, right)],
    ]);
    // One buffer as summand and result: the kernel takes each element of the summand before it writes there.
    if (adds) feeds.set("summand", sum);
    await (await program).run(feeds, new Map([["sum", sum]]));
  };
  return {
    accumulate: (product) => run(product, true),
    multiply: (product) => run(product, false),
    close: async () => {
      for (const program of programs.values()) await (await program).close();
    },
  };
}

function dtypeOf(data: Numbers): "f32" | "f64" {
  return data instanceof Float32Array ? "f32" : "f64";
}

function matrix(rows: number, columns: number, data: Numbers): EngineTensor {
  return { dtype: dtypeOf(data), shape: [rows, columns], data } as EngineTensor;
}

/** What makes one graph differ from another. */
interface Form {
  readonly dtype: "f32" | "f64";
  readonly adds: boolean;
  readonly turnLeft: boolean;
  readonly turnRight: boolean;
}

/** Y = A · B [+ C]; Gemm-13, https://onnx.ai/onnx/operators/onnx__Gemm.html */
function gemmGraph({ dtype, adds, turnLeft, turnRight }: Form): Graph {
  const value = (name: string, rows: string, columns: string, turned = false): ValueInfo => ({
    name,
    dtype,
    shape: turned ? [columns, rows] : [rows, columns],
  });
  const inputs = [value("left", "m", "k", turnLeft), value("right", "k", "n", turnRight)];
  if (adds) inputs.push(value("summand", "m", "n"));
  const names = inputs.map((input) => input.name);
  const attributes = new Map<string, Attribute>();
  if (turnLeft) attributes.set("transA", { kind: "int", value: 1n });
  if (turnRight) attributes.set("transB", { kind: "int", value: 1n });
  return {
    name: adds ? "accumulate" : "multiply",
    nodes: [{ name: "", opType: "Gemm", domain: "", inputs: names, outputs: ["sum"], attributes }],
    initialisers: new Map(),
    inputs,
    outputs: [value("sum", "m", "n")],
    irVersion: 10,
    opsetImports: new Map([["", 20]]),
  };
}
