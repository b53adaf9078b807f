/**
 * Matrix products in f32 on an engine: one ONNX Gemm with free sizes, compiled once for all tiles.
 *
 * Sums are f32 in the order of the engine's kernel, so bits may differ between machines; they do not between runs on one.
 */

import type { Graph, ValueInfo } from "../formats/onnx/graph.ts";
import type { Engine, Program } from "./engine.ts";
import type { EngineTensor } from "./tensor.ts";

/** All matrices in C order, any view of an ArrayBuffer. `target` must not overlap the other two. */
interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** [m, k] */
  readonly left: Float32Array;
  /** [k, n] */
  readonly right: Float32Array;
  /** [m, n], written in place. */
  readonly target: Float32Array;
}

export interface Gemm {
  /** target += left · right */
  accumulate(product: Product): Promise<void>;
  /** target = left · right, whatever was in it */
  multiply(product: Product): Promise<void>;
  close(): Promise<void>;
}

/** Compiles the two graphs; close it, or the engine, when done. */
export async function openGemm(engine: Engine): Promise<Gemm> {
  const [adding, plain] = [await engine.compile(gemmGraph(true)), await engine.compile(gemmGraph(false))];
  return {
    accumulate: (product) => multiply(adding, product, true),
    multiply: (product) => multiply(plain, product, false),
    close: async () => {
      await adding.close();
      await plain.close();
    },
  };
}

async function multiply(program: Program, product: Product, adds: boolean): Promise<void> {
  const { m, n, k, left, right, target } = product;
  if (m === 0 || n === 0) return;
  const sum = matrix(m, n, target);
  const feeds = new Map([
    ["left", matrix(m, k, left)],
    ["right", matrix(k, n, right)],
  ]);
  // One buffer as summand and result: the kernel takes each element of the summand before it writes there.
  if (adds) feeds.set("summand", sum);
  await program.run(feeds, new Map([["sum", sum]]));
}

function matrix(rows: number, columns: number, data: Float32Array): EngineTensor {
  return { dtype: "f32", shape: [rows, columns], data };
}

/** Y = A · B [+ C]; Gemm-13, https://onnx.ai/onnx/operators/onnx__Gemm.html */
function gemmGraph(adds: boolean): Graph {
  const value = (name: string, rows: string, columns: string): ValueInfo => ({
    name,
    dtype: "f32",
    shape: [rows, columns],
  });
  const inputs = [value("left", "m", "k"), value("right", "k", "n")];
  if (adds) inputs.push(value("summand", "m", "n"));
  const names = inputs.map((input) => input.name);
  return {
    name: adds ? "accumulate" : "multiply",
    nodes: [{ name: "", opType: "Gemm", domain: "", inputs: names, outputs: ["sum"], attributes: new Map() }],
    initialisers: new Map(),
    inputs,
    outputs: [value("sum", "m", "n")],
    irVersion: 10,
    opsetImports: new Map([["", 20]]),
  };
}
