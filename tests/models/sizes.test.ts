/** One description of a model serves every batch size and length. */

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Graph } from "../../src/formats/onnx/graph.ts";
import { openModel } from "../../src/formats/open-model.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { bindWeights } from "../../src/models/bind-weights.ts";
import { buildModel } from "../../src/models/build-model.ts";
import { describeModel } from "../../src/models/describe-model.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");

async function build(folder: string, batch: number, length: number): Promise<Graph> {
  const { config, path, store } = await openModel(join(FIXTURES, folder));
  if (config === undefined) throw new Error("no config");
  const model = describeModel(config, path);
  const g = new GraphBuilder();
  const ids = (name: string) => g.input(name, "i64", [batch, length]);
  const inputs = { inputIds: ids("ids"), positionIds: ids("positions"), segmentIds: ids("segments") };
  const { hidden, project } = buildModel(g, model, bindWeights(model, store), inputs);
  const logits = project(g.reshape(hidden, [-1, model.width]));
  return g.toGraph("model", new Map([["logits", logits]]));
}

describe.each(["stories260K"])("%s", (folder) => {
  it("has the same nodes and constants at two sizes", async () => {
    const [small, large] = [await build(folder, 1, 3), await build(folder, 5, 11)];
    expect(large.nodes).toEqual(small.nodes);
    expect(large.initialisers).toEqual(small.initialisers);
    expect(large.inputs).not.toEqual(small.inputs);
  });
});
