/**
 * Gradient checkpointing: a walk backwards that computes each block's values a second time instead of keeping them.
 *
 * Blocks are found in the graph, not named: where a single value leads on to everything trainable that comes later (the
 * residual stream between two halves of a transformer block), the forward pass is cut, and only that value is kept. Going
 * backwards, the nodes of a block are copied, with that value as their input, right before their gradients are taken.
 */

import type { GraphNode } from "../formats/onnx/graph.ts";
import type { GraphBuilder } from "./builder.ts";
import type { Value } from "./call.ts";
import type { ReversePass } from "./reverse-pass.ts";

/** Operators worth recomputing for: a block has at least one. */
const PRODUCTS: ReadonlySet<string> = new Set(["MatMul", "Gemm"]);

interface Block {
  readonly nodes: readonly GraphNode[];
  readonly start: number;
  /** The one value from before that leads to something trainable; `undefined` for the first block. */
  readonly input: Value | undefined;
  /** The one value that later blocks take. */
  readonly output: Value;
}

/**
 * Walks the nodes `start` to `end` − 1 backwards like `ReversePass.walk`, with the same gradients, bit for bit.
 *
 * @param result the value that everything after the range takes
 */
export function walkRecomputing(g: GraphBuilder, pass: ReversePass, start: number, end: number, result: Value): void {
  pass.learn(end);
  const blocks = findBlocks(g, pass, start, end, result);
  for (const [index, block] of [...blocks.entries()].reverse()) {
    const isLast = index === blocks.length - 1;
    // The last block's values have just been computed; copies of the first one's nodes would be the same nodes.
    if (block.input === undefined || isLast) pass.walk(block.start, block.start + block.nodes.length);
    else recompute(g, pass, block, block.input);
  }
}

function findBlocks(g: GraphBuilder, pass: ReversePass, start: number, end: number, result: Value): Block[] {
  const nodes = g.nodes.slice(start, end);
  const lastUse = new Map<string, number>([[result.name, nodes.length]]);
  for (const [index, { inputs }] of nodes.entries()) {
    for (const input of inputs) lastUse.set(input, Math.max(index, lastUse.get(input) ?? 0));
  }
  const blocks: Block[] = [];
  const live = new Set<string>();
  let [first, hasProduct] = [0, false];
  let input: Value | undefined;
  for (const [index, node] of nodes.entries()) {
    const active = node.outputs.filter((output) => pass.isActive(output));
    hasProduct ||= active.length > 0 && PRODUCTS.has(node.opType);
    for (const output of active) live.add(output);
    for (const name of [...node.inputs, ...node.outputs]) if ((lastUse.get(name) ?? 0) <= index) live.delete(name);
    const [only] = live;
    const isEnd = index === nodes.length - 1;
    if (only === undefined || !(isEnd || (live.size === 1 && hasProduct))) continue;
    const output = g.value(only);
    blocks.push({ nodes: nodes.slice(first, index + 1), start: start + first, input, output });
    [first, hasProduct, input] = [index + 1, false, output];
  }
  return blocks;
}

function recompute(g: GraphBuilder, pass: ReversePass, { nodes, output }: Block, input: Value): void {
  const gradient = pass.take(output);
  if (gradient === undefined) return;
  const copies = new Map([[input.name, after(g, input, gradient).name]]);
  const again = copies.get(input.name) ?? "";
  const first = g.nodes.length;
  for (const node of nodes) {
    if (!node.outputs.some((name) => pass.isActive(name))) continue;
    const inputs = node.inputs.map((name) => copies.get(name) ?? name);
    const outputs = node.outputs.map((name) => (name === "" ? "" : `${name}/again`));
    g.addNode({ ...node, name: "", inputs, outputs });
    for (const [index, name] of node.outputs.entries()) copies.set(name, outputs[index] ?? "");
  }
  const last = g.nodes.length;
  pass.learn(last);
  pass.seed(g.value(copies.get(output.name) ?? ""), gradient);
  pass.walk(first, last);
  const passed = pass.take(g.value(again));
  if (passed !== undefined) pass.seed(input, passed);
}

/**
 * A value that cannot be computed before another: x + 0 · y₀. Without it the engine would see that the copies need nothing
 * but the forward pass, and compute them all at once, or see that they are copies and drop them.
 */
function after(g: GraphBuilder, x: Value, y: Value): Value {
  const axes = [...y.shape.keys()];
  const one = g.slice(
    y,
    axes.map(() => 0),
    axes.map(() => 1),
    axes,
  );
  return g.add(x, g.mul(g.reshape(one, []), g.scalar(0)));
}
