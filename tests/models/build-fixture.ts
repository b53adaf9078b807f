/** The graph of a model folder: `ids`, `positions` and `segments` [batch, length] to `logits` [batch · length, vocabulary]. */

import { join } from "node:path";
import type { Graph } from "../../src/formats/onnx/graph.ts";
import { openModel } from "../../src/formats/open-model.ts";
import { GraphBuilder } from "../../src/graph/builder.ts";
import { bindWeights } from "../../src/models/bind-weights.ts";
import { type BuildOptions, type BuiltModel, buildModel } from "../../src/models/build-model.ts";
import { describeModel } from "../../src/models/describe-model.ts";

export interface BuiltFixture {
  readonly graph: Graph;
  readonly built: BuiltModel;
}

export async function buildFixture(
  folder: string,
  batch: number,
  length: number,
  options: BuildOptions = {},
): Promise<BuiltFixture> {
  const { config, store } = await openModel(folder);
  if (config === undefined) throw new Error("no config");
  const model = describeModel(config, join(folder, "config.json"));
  const g = new GraphBuilder();
  const ids = (name: string) => g.input(name, "i64", [batch, length]);
  const inputs = { inputIds: ids("ids"), positionIds: ids("positions"), segmentIds: ids("segments") };
  const built = buildModel(g, model, bindWeights(model, store), inputs, options);
  const logits = built.project(g.reshape(built.hidden, [-1, model.width]));
  return { graph: g.toGraph("model", new Map([["logits", logits]])), built };
}
