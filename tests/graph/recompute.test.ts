/** Blocks that are computed twice: what it saves, and where it finds them. */

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readTensorBytes } from "../../src/formats/byte-source.ts";
import type { Graph } from "../../src/formats/onnx/graph.ts";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { orderForMemory } from "../../src/graph/order.ts";
import { peakBytes } from "../../src/graph/peak-memory.ts";
import { pruneGraph } from "../../src/graph/prune.ts";
import { walkRecomputing } from "../../src/graph/recompute.ts";
import { ReversePass } from "../../src/graph/reverse-pass.ts";
import { insertLora } from "./insert-lora.ts";
import { tinyLlama } from "./tiny-llama.ts";

const { tensors } = openSafetensors(join(import.meta.dirname, "../../fixtures/train/base.safetensors"));
const weights = new Map(
  Array.from(tensors, ([name, tensor]) => {
    return [name, { ...tensor, source: { kind: "memory", bytes: new Uint8Array(readTensorBytes(tensor)) } }] as const;
  }),
);

/** The gradients of Σ hidden by the factors of every up_proj and q_proj. */
function gradientGraph(recompute: boolean, ordered = true): Graph {
  const { g: forward, hidden } = tinyLlama(weights, 4, 32);
  const targets = [0, 1].flatMap((layer) =>
    ["self_attn.q_proj", "mlp.up_proj"].map((name) => {
      const module = `model.layers.${layer}.${name}`;
      return { module, output: module, rank: 2, scale: 1 };
    }),
  );
  const adapted = insertLora(forward.toGraph("tiny-llama", new Map([["hidden", hidden]])), targets);
  const g = GraphBuilder.from(adapted.graph);
  const trained = adapted.modules.flatMap(({ down, up }) => [down, up]);
  const pass = new ReversePass(g, trained);
  const [result, end] = [g.value("hidden"), g.nodes.length];
  pass.seed(result, g.expand(g.scalar(1), result.shape));
  if (recompute) walkRecomputing(g, pass, 0, end, result);
  else pass.walk(0, end);
  const gradients = trained.map((name) => pass.gradient(name));
  const graph = pruneGraph(g.toGraph("gradients", new Map(gradients.map((value) => [value.name, value]))));
  return ordered ? orderForMemory(graph) : graph;
}

const products = ({ nodes }: Graph) => nodes.filter(({ opType }) => opType === "Gemm" || opType === "MatMul").length;

describe("walkRecomputing", () => {
  it("holds fewer values at a time, for products that are computed again", () => {
    const [kept, again] = [gradientGraph(false), gradientGraph(true)];
    expect(peakBytes(again)).toBeLessThan(0.9 * peakBytes(kept));
    expect(products(again)).toBeGreaterThan(products(kept));
    expect(products(again)).toBeLessThan(1.5 * products(kept));
  });

  it("copies no node of the first block, whose copies would be the same nodes", () => {
    const copied = gradientGraph(true).nodes.flatMap(({ outputs }) =>
      outputs.filter((name) => name.endsWith("/again")),
    );
    expect(copied.length).toBeGreaterThan(0);
    expect(copied.some((name) => name.startsWith("model.layers.1.self_attn.q_proj"))).toBe(true);
    expect(copied.some((name) => name.startsWith("model.layers.0.self_attn.q_proj"))).toBe(false);
  });
});

describe("orderForMemory", () => {
  it("takes each block's gradients as soon as they can be taken", () => {
    expect(peakBytes(gradientGraph(true))).toBeLessThan(peakBytes(gradientGraph(true, false)));
  });

  it("moves nodes that nothing reads, and no others", () => {
    const [before, after] = [gradientGraph(false, false), gradientGraph(false)];
    expect(new Set(after.nodes)).toEqual(new Set(before.nodes));
    const known = new Set([...after.inputs.map(({ name }) => name), ...after.initialisers.keys()]);
    for (const { inputs, outputs } of after.nodes) {
      for (const input of inputs) expect(input === "" || known.has(input)).toBe(true);
      for (const output of outputs) known.add(output);
    }
  });
});

describe("peakBytes", () => {
  it("counts values from their node to their last reader, without inputs and constants", () => {
    const g = new GraphBuilder();
    const x = g.input("x", "f32", [1000]);
    const a = g.exp(x);
    const b = g.exp(a);
    const c = g.add(a, b);
    const graph = g.toGraph("t", new Map([["y", g.reduceSum(c, [0])]]));
    // a, b and c: neither can be dropped before c is there.
    expect(peakBytes(graph)).toBe(3 * 4000);
  });
});
