/**
 * What goes with branches that are folded into their layers: the sums, and everything that served the branches only.
 *
 * The layer's result takes the name of the sum's, so that whoever read the sum, other graphs and the caller included,
 * reads the layer. Nodes, constants and lora inputs that nobody reads any more go.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import { quote } from "../../../core/text.ts";
import type { OnnxEditor } from "../editor.ts";
import type { OnnxConstant, OnnxModel, OnnxNode, OnnxValue } from "../model.ts";
import type { LoraBranch } from "./find-branches.ts";
import type { GraphLinks } from "./graph-links.ts";

export interface BranchRemoval {
  readonly nodes: ReadonlySet<OnnxNode>;
  /** Initialisers and Constant nodes. */
  readonly constants: ReadonlySet<OnnxConstant>;
  /** Inputs of the graph and annotations of values. */
  readonly values: readonly OnnxValue[];
  readonly renamed: readonly { readonly node: OnnxNode; readonly output: number; readonly name: string }[];
}

/** @throws {UnsupportedError} UNSUPPORTED_MODEL where a layer's own result is used beside the sum */
export function planRemoval(model: OnnxModel, branches: readonly LoraBranch[]): BranchRemoval {
  const layers = new Set(branches.map(({ base }) => base.node));
  for (const branch of branches) assertFoldable(model, branch, layers);
  const nodes = new Set<OnnxNode>();
  const constants = new Set<OnnxConstant>();
  const values = new Set<OnnxValue>();
  const renamed: BranchRemoval["renamed"][number][] = [];
  for (const links of new Set(branches.map((branch) => branch.links))) {
    const own = branches.filter((branch) => branch.links === links);
    const chains = resultNames(own);
    const sums = new Set(own.map(({ sum }) => sum));
    const gone = new Set<string>();
    for (const { sum, results } of own) {
      const [result] = results;
      nodes.add(sum);
      gone.add(result);
      const producer = links.producers.get(result);
      // Of several branches on one layer, only the innermost meets the layer's own result.
      if (producer === undefined || sums.has(producer)) continue;
      renamed.push({ node: producer, output: producer.outputs.indexOf(result), name: chains.get(result) ?? "" });
    }
    sweep(links, model, { nodes, constants, values, gone });
    for (const value of links.graph.valueInfo)
      if (gone.has(value.name) && !isStill(value.name, renamed)) values.add(value);
  }
  return { nodes, constants, values: [...values], renamed };
}

export function removeBranches(editor: OnnxEditor, removal: BranchRemoval): void {
  for (const node of removal.nodes) editor.removeNode(node);
  for (const { key, kind } of removal.constants) if (kind !== "constant node") editor.removeInitialiser(key);
  for (const value of removal.values) editor.removeValue(value);
  for (const { node, output, name } of removal.renamed) editor.setOutput(node, output, name);
}

/** Whatever reads the layer without the branch would read another value after folding. */
function assertFoldable(model: OnnxModel, { links, base, results }: LoraBranch, layers: ReadonlySet<OnnxNode>): void {
  const { parameter } = base.held;
  const read = results.find((name) => links.results.has(name) || (links.readers.get(name) ?? []).length !== 1);
  const other = parameter.uses.find(({ node }) => !layers.has(node));
  if (read === undefined && other === undefined) return;
  const user = read === undefined ? `the node ${quote(other?.node.name ?? "")}` : `a second reader of ${quote(read)}`;
  throw new UnsupportedError("UNSUPPORTED_MODEL", `the branch cannot be folded: ${user} uses the layer without it`, {
    file: model.path,
    subject: parameter.name,
  });
}

/** The name that each layer's result gets: that of the outermost sum above it. */
function resultNames(branches: readonly LoraBranch[]): Map<string, string> {
  const next = new Map(branches.map(({ results: [result], sum }) => [result, sum.outputs[0] ?? ""]));
  return new Map(
    [...next].map(([from, to]) => {
      let name = to;
      for (let above = next.get(name); above !== undefined; above = next.get(name)) name = above;
      return [from, name];
    }),
  );
}

/** A name that a layer's result has taken over keeps its annotation. */
function isStill(name: string, renamed: readonly { readonly name: string }[]): boolean {
  return renamed.some((one) => one.name === name);
}

interface Swept {
  readonly nodes: Set<OnnxNode>;
  readonly constants: Set<OnnxConstant>;
  readonly values: Set<OnnxValue>;
  /** Names of values that are not there any more. */
  readonly gone: Set<string>;
}

/** Follows the inputs of removed nodes to whatever has no reader left. */
function sweep({ graph, producers, readers, results }: GraphLinks, model: OnnxModel, swept: Swept): void {
  const isRead = (name: string) =>
    results.has(name) || (readers.get(name) ?? []).some((reader) => !swept.nodes.has(reader));
  const waiting = [...swept.nodes];
  for (const node of waiting) {
    for (const name of node.inputs) {
      if (name === "" || swept.gone.has(name) || isRead(name)) continue;
      const producer = producers.get(name);
      if (producer?.outputs.some(isRead)) continue;
      swept.gone.add(name);
      const key = graph.scope === "" ? name : `${graph.scope}/${name}`;
      const constant = model.constants.get(key);
      if (constant !== undefined) swept.constants.add(constant);
      const input = graph.inputs.find((one) => one.name === name && /lora_[AB]/.test(name));
      if (input !== undefined) swept.values.add(input);
      if (producer === undefined || swept.nodes.has(producer)) continue;
      swept.nodes.add(producer);
      waiting.push(producer);
    }
  }
}
