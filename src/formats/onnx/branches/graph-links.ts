/**
 * Who makes and who reads each value of a model, across subgraphs: what removing nodes needs to know.
 */

import type { OnnxGraph, OnnxModel, OnnxNode } from "../model.ts";

export interface GraphLinks {
  readonly graph: OnnxGraph;
  /** Nodes whose inputs are all defined before them, so that the way back from a value always ends. */
  readonly producers: ReadonlyMap<string, OnnxNode>;
  /** Nodes of the graph and of graphs inside of it that read a value of this name. */
  readonly readers: ReadonlyMap<string, readonly OnnxNode[]>;
  /** Names that are results of the graph or of graphs inside of it. */
  readonly results: ReadonlySet<string>;
}

/** Of the main graph and each of its subgraphs. */
export function linkGraphs({ graph }: OnnxModel): GraphLinks[] {
  const all: GraphLinks[] = [];
  const visit = (one: OnnxGraph): GraphLinks => {
    const producers = new Map<string, OnnxNode>();
    const readers = new Map<string, OnnxNode[]>();
    const results = new Set(one.outputs.map(({ name }) => name));
    const read = (name: string, node: OnnxNode) => {
      const known = readers.get(name);
      if (known === undefined) readers.set(name, [node]);
      else known.push(node);
    };
    const later = new Set(one.nodes.flatMap(({ outputs }) => outputs));
    for (const node of one.nodes) {
      const isInOrder = node.inputs.every((input) => input === "" || !later.has(input));
      for (const output of node.outputs) {
        if (!isInOrder || output === "") continue;
        later.delete(output);
        producers.set(output, node);
      }
      for (const input of node.inputs) if (input !== "") read(input, node);
      for (const { graphs } of node.attributes) {
        for (const inner of graphs.map(visit)) {
          for (const [name, nodes] of inner.readers) for (const reader of nodes) read(name, reader);
          for (const name of inner.results) results.add(name);
        }
      }
    }
    const links = { graph: one, producers, readers, results };
    all.push(links);
    return links;
  };
  visit(graph);
  return all;
}
