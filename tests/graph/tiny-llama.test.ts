/** Adapters on a tiny Llama against PEFT and torch's autograd (fixtures/generate/train_gradients.py). */

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, openEngine } from "../../src/engine/engine.ts";
import { readTensorBytes } from "../../src/formats/byte-source.ts";
import type { Graph } from "../../src/formats/onnx/graph.ts";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import type { TensorData, TensorStore } from "../../src/formats/tensor-store.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { crossEntropy } from "../../src/graph/cross-entropy.ts";
import { adaptLinear } from "../../src/graph/lora.ts";
import { pruneGraph } from "../../src/graph/prune.ts";
import { ReversePass } from "../../src/graph/reverse-pass.ts";
import type { Numbers } from "../reference/evaluate-graph.ts";
import { numbersOf } from "../support/read-tensor.ts";
import { openPlainTfjs } from "../support/tfjs.ts";
import { insertLora, type LoraInputs } from "./insert-lora.ts";
import { runGraph } from "./numbers.ts";
import { tinyLlama } from "./tiny-llama.ts";

const FOLDER = join(import.meta.dirname, "../../fixtures/train");
const HEAD = "lm_head";
const [BATCH, LENGTH] = [2, 6];
const PARTS = { down: "down", up: "up", magnitude: "magnitude", dropoutMask: "mask" } as const;

const base = openSafetensors(join(FOLDER, "base.safetensors"));
const inMemory = new Map([...base.tensors].map(([name, tensor]) => [name, load(tensor)]));

function load(tensor: TensorData): TensorData {
  return { ...tensor, source: { kind: "memory", bytes: new Uint8Array(readTensorBytes(tensor)) } };
}

function numbers(store: TensorStore, name: string): Numbers {
  const tensor = store.tensors.get(name);
  if (tensor === undefined) throw new Error(`no tensor ${name}`);
  const data =
    tensor.dtype === "i64"
      ? Array.from(new BigInt64Array(new Uint8Array(readTensorBytes(tensor)).slice().buffer), Number)
      : [...numbersOf(tensor)];
  return { shape: tensor.shape, data };
}

/** The graph of one step: the loss and a gradient for each part of each adapter, named as in the fixture. */
function stepGraph(store: TensorStore, chunkRows: number): { graph: Graph; feeds: Map<string, Numbers> } {
  const scale = Number(store.metadata.get("scale"));
  const paths = [...store.tensors.keys()].flatMap((name) => (name.endsWith(".down") ? [name.slice(0, -5)] : []));
  const has = (path: string, part: string) => store.tensors.has(`${path}.${part}`);
  const { g: forward, hidden } = tinyLlama(inMemory, BATCH, LENGTH);
  const targets = paths
    .filter((path) => path !== HEAD)
    .map((path) => ({
      module: path,
      output: path,
      rank: 3,
      scale,
      dora: has(path, "magnitude"),
      dropout: has(path, "mask"),
    }));
  const adapted = insertLora(forward.toGraph("tiny-llama", new Map([["hidden", hidden]])), targets);

  const g = GraphBuilder.from(adapted.graph);
  const bodyEnd = g.nodes.length;
  const labels = g.input("labels", "i64", [BATCH, LENGTH]);
  const headWeight = inMemory.get(`${HEAD}.weight`);
  if (headWeight === undefined) throw new Error("no head");
  const weight = g.initialiser(headWeight);
  const modules: LoraInputs[] = [...adapted.modules];
  const [down, up] = paths.includes(HEAD)
    ? [g.input(`${HEAD}/down`, "f32", [3, 16]), g.input(`${HEAD}/up`, "f32", [37, 3])]
    : [];
  if (down && up) modules.push({ module: HEAD, down: down.name, up: up.name });

  const trainable = modules.flatMap(({ down, up, magnitude }) => [down, up, ...(magnitude ? [magnitude] : [])]);
  const pass = new ReversePass(g, trainable, adapted.detached);
  const loss = crossEntropy(g, {
    hidden: g.value("hidden"),
    labels,
    chunkRows,
    pass,
    project: (x) => {
      const y = g.gemm(x, weight, { transposeRight: true });
      return down && up ? adaptLinear(g, { x, weight, transposed: true, base: y }, { down, up, scale }).y : y;
    },
  });
  pass.walk(0, bodyEnd);

  const outputs = new Map([["loss", loss]]);
  const feeds = new Map([
    ["ids", numbers(base, "ids")],
    ["labels", numbers(base, "labels")],
  ]);
  for (const inputs of modules) {
    for (const [part, stored] of Object.entries(PARTS) as [keyof typeof PARTS, string][]) {
      const name = inputs[part];
      if (name === undefined) continue;
      const { shape, data } = numbers(store, `${inputs.module}.${stored}`);
      const input = g.value(name);
      // Masks have the shape of x, which is a list of rows in this graph.
      feeds.set(name, { shape: part === "dropoutMask" ? input.shape : shape, data });
      if (part !== "dropoutMask") outputs.set(`${inputs.module}.${stored}.grad`, pass.gradient(name));
    }
  }
  return { graph: pruneGraph(g.toGraph("step", outputs)), feeds };
}

/** ‖a − b‖ / ‖b‖ */
function relativeError(a: Numbers | undefined, b: Numbers): number {
  expect(a?.shape).toEqual(b.shape);
  const norm = Math.hypot(...b.data);
  return Math.hypot(...b.data.map((value, index) => (a?.data[index] ?? Number.NaN) - value)) / norm;
}

/** Both: they share no kernel. */
const engines = new Map<string, Engine>();

beforeAll(async () => {
  engines.set("onnxruntime", await openEngine({ device: "cpu", threads: 1 }));
  engines.set("tfjs", await openPlainTfjs());
});

afterAll(async () => {
  for (const engine of engines.values()) await engine.close();
});

describe.each(["lora", "lora-dropout", "dora", "dora-dropout"])("%s", (name) => {
  const store = openSafetensors(join(FOLDER, `${name}.safetensors`));

  it.each([12, 5, 1])("has PEFT's loss and gradients to 1e-5, with %i rows in a chunk", async (chunkRows) => {
    const { graph, feeds } = stepGraph(store, chunkRows);
    for (const [engineName, engine] of engines) {
      const results = await runGraph(engine, graph, feeds);
      const expected = [...store.tensors.keys()].filter((key) => /^loss$|\.grad$/.test(key));
      expect([...results.keys()].sort()).toEqual(expected.sort());
      for (const key of expected) {
        expect(relativeError(results.get(key), numbers(store, key)), `${engineName}: ${key}`).toBeLessThan(1e-5);
      }
    }
  });
});

describe("the graph of a step", () => {
  it("multiplies by each frozen weight forwards and backwards, and never forms its gradient", () => {
    const { graph } = stepGraph(openSafetensors(join(FOLDER, "lora.safetensors")), 12);
    const frozen = new Set([...base.tensors.keys()]);
    const uses = new Map<string, number>();
    for (const node of graph.nodes) {
      for (const input of node.inputs) if (frozen.has(input)) uses.set(input, (uses.get(input) ?? 0) + 1);
    }
    expect(uses.get("model.layers.1.mlp.up_proj.weight")).toBe(2);
    const g = GraphBuilder.from(graph);
    const shapes = new Set(graph.nodes.flatMap(({ outputs }) => outputs.map((output) => `${g.value(output).shape}`)));
    for (const { shape } of base.tensors.values()) if (shape.length === 2) expect(shapes).not.toContain(`${shape}`);
  });
});
