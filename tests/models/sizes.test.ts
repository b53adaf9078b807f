/** One description of a model serves every batch size and length. */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { buildFixture } from "./build-fixture.ts";

const FOLDER = join(import.meta.dirname, "../../fixtures/models");

const CASES = readdirSync(FOLDER).filter((name) => existsSync(join(FOLDER, name, "config.json")));

describe.each(CASES)("%s", (name) => {
  it("has the same nodes and constants at two sizes", async () => {
    const [small, large] = [
      await buildFixture(join(FOLDER, name), 1, 3),
      await buildFixture(join(FOLDER, name), 5, 11),
    ];
    expect(large.graph.nodes).toEqual(small.graph.nodes);
    expect(large.graph.initialisers).toEqual(small.graph.initialisers);
    expect(large.built.layers).toEqual(small.built.layers);
    expect(large.graph.inputs).not.toEqual(small.graph.inputs);
  });
});
