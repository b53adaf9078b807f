import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Dtype } from "../../src/core/dtype.ts";
import { type Engine, openEngine } from "../../src/engine/engine.ts";
import { openGemm } from "../../src/engine/gemm.ts";
import type { EngineTensor } from "../../src/engine/tensor.ts";
import { errorOf } from "../support/errors.ts";
import { f32InMemory, graph, node, value } from "./graphs.ts";

let engine: Engine;

beforeAll(async () => {
  engine = await openEngine({ device: "auto", engine: "tfjs" });
});

afterAll(() => engine.close());

const floats = (...data: number[]): EngineTensor => ({
  dtype: "f32",
  shape: [data.length],
  data: Float32Array.from(data),
});
const longs = (...data: bigint[]): EngineTensor => ({
  dtype: "i64",
  shape: [data.length],
  data: BigInt64Array.from(data),
});
const negation = graph([node("Neg", ["x"], ["y"])], [value("x", "f32", ["n"])], [value("y", "f32", ["n"])]);

describe("the tfjs engine", () => {
  it("takes the best that is installed: here the backend in WebAssembly", () => {
    expect(engine.device).toEqual({ device: "cpu", type: "cpu", adapterName: "@tensorflow/tfjs-backend-wasm" });
  });

  it("is never another device than the one asked for", async () => {
    for (const device of ["cuda", "webgpu", "coreml", "dml"] as const) {
      const error = await errorOf(() => openEngine({ device, engine: "tfjs" }));
      expect(error.code).toBe("DEVICE_UNAVAILABLE");
      expect(error.message).toContain(device);
      expect(error.hint).toBeDefined();
    }
  });

  it("writes into the tensors that it is given, and leaves its inputs alone", async () => {
    const program = await engine.compile(negation);
    const [x, y] = [floats(1, -2), floats(0, 0)];
    const results = await program.run(new Map([["x", x]]), new Map([["y", y]]));
    expect(results.get("y")).toBe(y);
    expect([...x.data, ...y.data]).toEqual([1, -2, -1, 2]);
  });

  it("computes products for a merge, summand and result in one buffer", async () => {
    const gemm = openGemm(engine);
    const target = Float32Array.of(10, 20, 30, 40);
    await gemm.accumulate({ m: 2, k: 1, n: 2, left: Float32Array.of(1, 2), right: Float32Array.of(3, 4), target });
    expect([...target]).toEqual([13, 24, 36, 48]);
    await gemm.close();
  });

  it("keeps integers of 64 bits that fit into 32, and refuses those that do not", async () => {
    const doubled = graph([node("Add", ["x", "x"], ["y"])], [value("x", "i64", ["n"])], [value("y", "i64", ["n"])]);
    const program = await engine.compile(doubled);
    expect((await program.run(new Map([["x", longs(-100n, 7n)]]))).get("y")).toEqual(longs(-200n, 14n));
    const error = await errorOf(() => program.run(new Map([["x", longs(2n ** 31n)]])));
    expect([error.code, error.subject]).toEqual(["UNSUPPORTED_DTYPE", "x"]);
  });

  it("gives back all memory but the weights of open programs", async () => {
    const before = tf.memory().numTensors;
    const weighted = graph(
      [node("Mul", ["x", "w"], ["z"]), node("Tanh", ["z"], ["y"])],
      [value("x", "f32", [2])],
      [value("y", "f32", [2])],
      [f32InMemory("w", Float32Array.of(2, 3))],
    );
    const program = await engine.compile(weighted);
    for (let run = 0; run < 3; run++) await program.run(new Map([["x", floats(1, 2)]]));
    expect(tf.memory().numTensors).toBe(before + 1);
    await program.close();
    expect(tf.memory().numTensors).toBe(before);
  });

  it("gives back all memory when a run fails", async () => {
    const picked = graph(
      [node("Exp", ["x"], ["e"]), node("Gather", ["e", "at"], ["y"])],
      [value("x", "f32", ["n"]), value("at", "i64", ["m"])],
      [value("y", "f32", ["m"])],
    );
    const program = await engine.compile(picked);
    const before = tf.memory().numTensors;
    const feeds = (index: bigint) =>
      new Map([
        ["x", floats(0, 0)],
        ["at", longs(index)],
      ]);
    expect((await program.run(feeds(-2n))).get("y")).toEqual(floats(1));
    const error = await errorOf(() => program.run(feeds(2n)));
    expect([error.code, error.subject]).toEqual(["INVALID_MODEL", "y"]);
    expect(tf.memory().numTensors).toBe(before);
  });

  it.each(["f64", "f16", "bf16", "u16"] satisfies Dtype[])("refuses %s, by the value that has it", async (dtype) => {
    const typed = graph([node("Neg", ["x"], ["y"])], [value("x", dtype, [1])], [value("y", dtype, [1])]);
    const error = await errorOf(() => engine.compile(typed));
    expect([error.code, error.subject]).toEqual(["UNSUPPORTED_DTYPE", "x"]);
    expect(error.message).toContain(dtype);
  });

  it("refuses an operator that it has no kernel for, by its node", async () => {
    const odd = graph([node("Celu", ["x"], ["y"])], [value("x", "f32", [1])], [value("y", "f32", [1])]);
    const error = await errorOf(() => engine.compile(odd));
    expect([error.code, error.subject]).toEqual(["UNSUPPORTED_OPERATOR", "y"]);
    expect(error.message).toContain("Celu");
  });
});
