import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LoraToolError } from "../../src/core/errors.ts";
import { DEVICES, runsOn } from "../../src/engine/device.ts";
import { type Engine, openEngine } from "../../src/engine/engine.ts";
import type { EngineArrays, EngineDtype, EngineTensor } from "../../src/engine/tensor.ts";
import { DTYPE_ELEMENT_TYPES } from "../../src/formats/onnx/element-type.ts";
import type { Attribute } from "../../src/formats/onnx/graph.ts";
import { f32InMemory, graph, node, value } from "./graphs.ts";

const SAMPLES: { readonly [D in EngineDtype]: EngineArrays[D] } = {
  f32: Float32Array.of(1.5, -0, Number.NaN),
  f64: Float64Array.of(1e300, -0, Number.NaN),
  i8: Int8Array.of(-128, 0, 127),
  i16: Int16Array.of(-32768, 0, 32767),
  i32: Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1),
  i64: BigInt64Array.of(-(2n ** 63n), 0n, 2n ** 63n - 1n),
  u8: Uint8Array.of(0, 1, 255),
  u16: Uint16Array.of(0, 1, 65535),
  u32: Uint32Array.of(0, 1, 2 ** 32 - 1),
  u64: BigUint64Array.of(0n, 1n, 2n ** 64n - 1n),
  bool: Uint8Array.of(0, 1, 1),
};

let engine: Engine;

beforeAll(async () => {
  engine = await openEngine({ device: "cpu", threads: 1 });
});

afterAll(() => engine.close());

function f32(...values: readonly number[]): EngineTensor<"f32"> {
  return { dtype: "f32", shape: [values.length], data: Float32Array.from(values) };
}

function bytesOf(tensor: EngineTensor | undefined): Uint8Array | undefined {
  return tensor && new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
}

function to(dtype: "f32" | "bf16" | "u16"): Readonly<Record<string, Attribute>> {
  return { to: { kind: "int", value: BigInt(DTYPE_ELEMENT_TYPES[dtype]) } };
}

async function failureOf(action: Promise<unknown>): Promise<LoraToolError> {
  const error = await action.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof LoraToolError)) throw new Error(`expected a typed error, got ${String(error)}`);
  return error;
}

describe("a program on the processor", () => {
  it.each(Object.keys(SAMPLES) as EngineDtype[])("passes %s through without changing a bit", async (dtype) => {
    const program = await engine.compile(
      graph([node("Identity", ["x"], ["y"])], [value("x", dtype, ["n"])], [value("y", dtype, ["n"])]),
    );
    const x = { dtype, shape: [3], data: SAMPLES[dtype] } as EngineTensor;
    const y = (await program.run(new Map([["x", x]]))).get("y");
    expect(y?.dtype).toBe(dtype);
    expect(y?.shape).toEqual([3]);
    expect(bytesOf(y)).toEqual(bytesOf(x));
  });

  it("gives all outputs by default, and of several only those that are asked for", async () => {
    const program = await engine.compile(
      graph(
        [node("Add", ["x", "x"], ["twice"]), node("Mul", ["x", "x"], ["square"])],
        [value("x", "f32", ["n"])],
        [value("twice", "f32", ["n"]), value("square", "f32", ["n"])],
      ),
    );
    const feeds = new Map([["x", f32(3, 5)]]);
    expect([...(await program.run(feeds)).keys()]).toEqual(["twice", "square"]);
    const some = await program.run(feeds, new Map([["square", undefined]]));
    expect([...some]).toEqual([["square", f32(9, 25)]]);
  });

  it("writes into the tensor that is given for an output, and returns that one", async () => {
    const program = await engine.compile(
      graph([node("Neg", ["x"], ["y"])], [value("x", "f32", ["n"])], [value("y", "f32", ["n"])]),
    );
    const target = f32(7, 7);
    const result = await program.run(new Map([["x", f32(1, 2)]]), new Map([["y", target]]));
    expect(result.get("y")).toBe(target);
    expect([...target.data]).toEqual([-1, -2]);
  });

  it("reads and writes bf16 as u16 through BitCast, rounding to nearest even", async () => {
    const program = await engine.compile(
      graph(
        [
          node("BitCast", ["bits"], ["narrow"], to("bf16")),
          node("Cast", ["narrow"], ["wide"], to("f32")),
          node("Add", ["wide", "delta"], ["sum"]),
          node("Cast", ["sum"], ["rounded"], to("bf16")),
          node("BitCast", ["rounded"], ["out"], to("u16")),
        ],
        [value("bits", "u16", ["n"]), value("delta", "f32", ["n"])],
        [value("out", "u16", ["n"])],
      ),
    );
    // 1 + 2^-8 lies halfway between 1 and the next bf16, 1 + 3·2^-8 halfway below 1 + 2^-6.
    const bits: EngineTensor = { dtype: "u16", shape: [2], data: Uint16Array.of(0x3f80, 0x3f80) };
    const feeds = new Map<string, EngineTensor>([
      ["bits", bits],
      ["delta", f32(2 ** -8, 3 * 2 ** -8)],
    ]);
    expect((await program.run(feeds)).get("out")?.data).toEqual(Uint16Array.of(0x3f80, 0x3f82));
  });

  it("may be closed twice, also by its engine", async () => {
    const own = await openEngine({ device: "cpu", threads: 1 });
    const program = await own.compile(
      graph([node("Neg", ["x"], ["y"])], [value("x", "f32", ["n"])], [value("y", "f32", ["n"])]),
    );
    await program.close();
    await own.close();
    await program.close();
  });
});

describe("weights of a graph", () => {
  const values = Float32Array.from({ length: 1000 }, (_, index) => index + 0.25);
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "lora-tool-engine-"));
  });

  afterAll(() => rm(folder, { recursive: true }));

  it("may lie in memory, small and large", async () => {
    const small = f32InMemory("small", Float32Array.of(1));
    const program = await engine.compile(
      graph(
        [node("Add", ["x", "small"], ["z"]), node("Mul", ["z", "large"], ["y"])],
        [value("x", "f32", [1000])],
        [value("y", "f32", [1000])],
        [small, f32InMemory("large", values)],
      ),
    );
    const x: EngineTensor = { dtype: "f32", shape: [1000], data: new Float32Array(1000).fill(1) };
    expect((await program.run(new Map([["x", x]]))).get("y")?.data).toEqual(values.map((number) => 2 * number));
  });

  it.each(["speed", "size"] as const)("may lie in a file at any offset, preferring %s", async (prefer) => {
    const path = join(folder, `${prefer}.safetensors`);
    await writeFile(path, Buffer.concat([Buffer.from("odd"), new Uint8Array(values.buffer)]));
    const weight = { ...f32InMemory("weight", values), source: { kind: "file", path, offset: 3 } as const };
    const program = await engine.compile(
      graph([node("Neg", ["weight"], ["y"])], [], [value("y", "f32", [1000])], [weight]),
      { prefer },
    );
    expect((await program.run(new Map())).get("y")?.data).toEqual(values.map((number) => -number));
    await program.close();
  });
});

describe("what does not run", () => {
  it("is an unsupported operator where the device has no kernel for its dtype", async () => {
    const bf16 = graph(
      [
        node("Cast", ["x"], ["narrow"], to("bf16")),
        node("MatMul", ["narrow", "narrow"], ["product"]),
        node("Cast", ["product"], ["y"], to("f32")),
      ],
      [value("x", "f32", ["n", "n"])],
      [value("y", "f32", ["n", "n"])],
    );
    const error = await failureOf(engine.compile(bf16));
    expect(error.code).toBe("UNSUPPORTED_OPERATOR");
    expect(error.message).toContain('"MatMul"');
  });

  it("is the file's fault where the graph came out of one, and ours otherwise", async () => {
    const broken = graph([node("NoSuchOperator", ["x"], ["y"])], [value("x", "f32", [1])], [value("y", "f32", [1])]);
    const error = await failureOf(engine.compile(broken, { file: "model.onnx" }));
    expect([error.code, error.file]).toEqual(["INVALID_MODEL", "model.onnx"]);
    await expect(failureOf(engine.compile(broken))).rejects.toThrow("expected a typed error");
  });

  it("is never replaced by another device", async () => {
    const platform = `${process.platform}/${process.arch}`;
    const foreign = (["coreml", "dml"] as const).filter((device) => !runsOn(device, platform));
    expect(foreign.length).toBeGreaterThan(0);
    for (const device of foreign) {
      const error = await failureOf(openEngine({ device }));
      expect(error.code).toBe("DEVICE_UNAVAILABLE");
      expect(error.message).toContain(device);
      expect(error.hint).toBeDefined();
    }
  });
});

describe("auto", () => {
  it("is the processor for merging", async () => {
    const auto = await openEngine({ device: "auto", threads: 1, purpose: "merge" });
    expect(auto.device).toEqual({ device: "cpu", type: "cpu", adapterName: undefined });
    await auto.close();
  });

  it("is the processor or a real GPU for training", async () => {
    const auto = await openEngine({ device: "auto", threads: 1, purpose: "train" });
    expect(["cpu", "gpu"]).toContain(auto.device.type);
    expect(Object.keys(DEVICES)).toContain(auto.device.device);
    await auto.close();
  });
});
