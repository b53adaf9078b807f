/** Layers that adapters may be put on, against the modules of transformers' own models. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openModel } from "../../src/formats/open-model.ts";
import { buildFixture } from "./build-fixture.ts";

const FOLDER = join(import.meta.dirname, "../../fixtures/models");
const CASES = readdirSync(FOLDER).filter((name) => existsSync(join(FOLDER, name, "config.json")));

describe.each(CASES)("%s", (name) => {
  const folder = join(FOLDER, name);

  it("lists the modules of transformers by their paths at run time", async () => {
    const { layers } = (await buildFixture(folder, 2, 3)).built;
    const expected = JSON.parse(readFileSync(join(folder, "layers.json"), "utf8"));
    expect(Object.fromEntries(layers.map(({ module, kind }) => [module, kind]))).toEqual(expected);
    expect(layers).toHaveLength(Object.keys(expected).length);
  });

  it("gives each layer the tensor of the file, its sizes and the value that it computes", async () => {
    const { graph, built } = await buildFixture(folder, 2, 3);
    const { tensors } = (await openModel(folder)).store;
    for (const { kind, weight, inputs, outputs, output, module } of built.layers) {
      expect(tensors.get(weight)?.shape, module).toEqual(kind === "linear" ? [outputs, inputs] : [inputs, outputs]);
      const node = graph.nodes.find((one) => one.outputs.includes(output));
      expect(node?.opType, module).toBe(kind === "embedding" ? "Gather" : "Gemm");
      expect(graph.initialisers.get(weight)).toEqual(tensors.get(weight));
    }
  });

  it("keeps the hidden rows between blocks by name", async () => {
    const { graph, built } = await buildFixture(folder, 2, 3);
    const defined = graph.nodes.flatMap(({ outputs }) => outputs);
    const blocks = new Set(built.layers.map(({ block }) => block).filter((block) => block !== undefined));
    expect(built.boundaries).toHaveLength(blocks.size + 1);
    const places = built.boundaries.map((boundary) => defined.indexOf(boundary));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(places[0]).toBeGreaterThanOrEqual(0);
  });
});
