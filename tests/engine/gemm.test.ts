import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, openEngine } from "../../src/engine/engine.ts";
import { type Gemm, openGemm } from "../../src/engine/gemm.ts";
import { encodeGraph } from "../../src/formats/onnx/encoder.ts";
import { graph, node, value } from "./graphs.ts";

/** TypeScript knows WebAssembly only as part of the browser's types. */
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: { readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer } };
};

const OPERATIONS = ["accumulate", "multiply"] as const;

/** [m, k, n]: single rows, columns and ranks, empty ones. */
const SIZES = [
  [1, 1, 1],
  [1, 1, 9],
  [9, 1, 1],
  [3, 5, 7],
  [64, 8, 33],
  [0, 4, 4],
  [4, 0, 4],
  [4, 4, 0],
  [300, 16, 2048],
  [130, 3, 9000],
] as const;

let engine: Engine;
let gemm: Gemm;

beforeAll(async () => {
  engine = await openEngine({ device: "cpu", threads: 1 });
  gemm = openGemm(engine);
});

afterAll(() => engine.close());

/** Numbers in [-0.5, 0.5) that look random: Knuth's multiplicative hash of the index. */
function noise(length: number, stream: number): Float32Array {
  return Float32Array.from({ length }, (_, index) => Math.imul(index * 4 + stream, 0x9e3779b1) / 2 ** 32);
}

/** The largest error against f64, in units of what f32 sums of k + 1 products of this size may lose. */
function worstError(
  [m, k, n]: readonly [number, number, number],
  left: Float32Array,
  right: Float32Array,
  before: Float32Array | undefined,
  after: Float32Array,
): number {
  let worst = 0;
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < n; column++) {
      const start = before?.[row * n + column] ?? 0;
      let sum = start;
      let size = Math.abs(start);
      for (let inner = 0; inner < k; inner++) {
        const product = (left[row * k + inner] ?? 0) * (right[inner * n + column] ?? 0);
        sum += product;
        size += Math.abs(product);
      }
      const error = Math.abs((after[row * n + column] ?? Number.NaN) - sum);
      if (!(error <= (k + 1) * 2 ** -24 * size)) worst = Math.max(worst, Number.isNaN(error) ? Infinity : error);
    }
  }
  return worst;
}

describe.each(OPERATIONS)("%s", (operation) => {
  it.each(SIZES)("is right within f32 for m %i, k %i, n %i", async (m, k, n) => {
    const [left, right, target] = [noise(m * k, 1), noise(k * n, 2), noise(m * n, 3)];
    const before = operation === "accumulate" ? target.slice() : undefined;
    await gemm[operation]({ m, n, k, left, right, target });
    expect(worstError([m, k, n], left, right, before, target)).toBe(0);
  });

  it("works in place on WebAssembly memory, and touches nothing around its target", async () => {
    const [m, k, n] = [300, 16, 2048];
    const memory = new WebAssembly.Memory({ initial: 64 });
    const left = new Float32Array(memory.buffer, 4, m * k);
    const right = new Float32Array(memory.buffer, 65540, k * n);
    const around = new Float32Array(memory.buffer, 2 ** 18, m * n + 2).fill(42);
    const target = around.subarray(1, -1);
    left.set(noise(left.length, 1));
    right.set(noise(right.length, 2));
    target.set(noise(target.length, 3));
    const before = operation === "accumulate" ? target.slice() : undefined;
    await gemm[operation]({ m, n, k, left, right, target });
    expect(worstError([m, k, n], left, right, before, target)).toBe(0);
    expect([around[0], around.at(-1)]).toEqual([42, 42]);
  });

  it("gives the same bits again", async () => {
    const [m, k, n] = [300, 16, 2048];
    const product = { m, n, k, left: noise(m * k, 1), right: noise(k * n, 2) };
    const [first, second] = [new Float32Array(m * n).fill(1), new Float32Array(m * n).fill(1)];
    await gemm[operation]({ ...product, target: first });
    await gemm[operation]({ ...product, target: second });
    expect(Buffer.compare(new Uint8Array(second.buffer), new Uint8Array(first.buffer))).toBe(0);
  });
});

describe("either side turned, in either dtype", () => {
  const forms = [false, true].flatMap((turnLeft) => [false, true].map((turnRight) => ({ turnLeft, turnRight })));

  it.each(forms)("%j", async ({ turnLeft, turnRight }) => {
    const [m, k, n] = [37, 19, 23];
    const [left, right, before] = [noise(m * k, 1), noise(k * n, 2), noise(m * n, 3)];
    const turned = { left: turnLeft ? turn(left, m, k) : left, right: turnRight ? turn(right, k, n) : right };
    const single = before.slice();
    await gemm.accumulate({ m, n, k, ...turned, target: single, turnLeft, turnRight });
    expect(worstError([m, k, n], left, right, before, single)).toBe(0);

    const double = Float64Array.from(before);
    const wide = { left: Float64Array.from(turned.left), right: Float64Array.from(turned.right) };
    await gemm.accumulate({ m, n, k, ...wide, target: double, turnLeft, turnRight });
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let sum = before[row * n + column] ?? 0;
        for (let inner = 0; inner < k; inner++) sum += (left[row * k + inner] ?? 0) * (right[inner * n + column] ?? 0);
        expect(Math.abs((double[row * n + column] ?? Number.NaN) - sum)).toBeLessThan(1e-14);
      }
    }
  });

  function turn(values: Float32Array, rows: number, columns: number): Float32Array {
    return values.map((_, index) => values[(index % rows) * columns + Math.floor(index / rows)] ?? 0);
  }
});

describe("worker threads", () => {
  /** Plain JavaScript around onnxruntime-node as the engine uses it: workers cannot load TypeScript on each supported Node. */
  const SOURCE = `
    const { parentPort, workerData } = require("node:worker_threads");
    const { InferenceSession, Tensor } = require("onnxruntime-node");
    (async () => {
      const session = await InferenceSession.create(workerData.model, { intraOpNumThreads: 1 });
      const target = new Tensor("float32", new Float32Array(4).fill(1), [2, 2]);
      const ones = new Tensor("float32", new Float32Array(4).fill(1), [2, 2]);
      for (let i = 0; i < 10; i++) await session.run({ left: ones, right: ones, summand: target }, { sum: target });
      parentPort.postMessage([...target.data]);
    })();
  `;

  it("run sessions of their own beside each other and end without a word", async () => {
    const matrix = (name: string) => value(name, "f32", ["n", "n"]);
    const accumulate = graph(
      [node("Gemm", ["left", "right", "summand"], ["sum"])],
      [matrix("left"), matrix("right"), matrix("summand")],
      [matrix("sum")],
    );
    const workers = [0, 1, 2].map(
      () => new Worker(SOURCE, { eval: true, workerData: { model: encodeGraph(accumulate) }, stderr: true }),
    );
    const results = await Promise.all(
      workers.map(async (worker) => {
        let printed = "";
        worker.stderr.on("data", (chunk: Buffer) => {
          printed += chunk.toString();
        });
        const ended = once(worker, "exit");
        const [values] = await once(worker, "message");
        const [code] = await ended;
        return { values, code, printed };
      }),
    );
    expect(results).toEqual([0, 1, 2].map(() => ({ values: [21, 21, 21, 21], code: 0, printed: "" })));
  });
});
