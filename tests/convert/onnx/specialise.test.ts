/** Exported models as graphs of fixed sizes, as training takes them: the same logits, from operators with gradients. */

import { join } from "node:path";
import { convert } from "lora-tool";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, openEngine } from "../../../src/engine/engine.ts";
import type { EngineTensor } from "../../../src/engine/tensor.ts";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import { toGraph } from "../../../src/formats/onnx/to-graph.ts";
import { specialise } from "../../../src/graph/specialise/specialise.ts";
import { LOGIT_CASES, largestError, openLogitsFixture } from "../../models/logits-fixture.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

let engine: Engine;

beforeAll(async () => {
  engine = await openEngine({ device: "cpu", threads: 1 });
});

afterAll(() => engine.close());

describe.each(LOGIT_CASES)("%s", (name) => {
  it("computes the same when its sizes are fixed", async () => {
    const fixture = openLogitsFixture(name);
    const out = join(temporaryFolder(), "model.onnx");
    await convert({ input: fixture.folder, to: "onnx", out });
    const names = ["input_ids", "attention_mask", "position_ids"];
    const graph = specialise(toGraph(openOnnx(out)), new Map(names.map((key) => [key, fixture.shape])));
    const program = await engine.compile(graph);
    const feed = (data: BigInt64Array): EngineTensor => ({ dtype: "i64", shape: fixture.shape, data });
    const feeds = [fixture.ids, fixture.mask, fixture.positions].map(feed);
    const results = await program.run(new Map(feeds.map((tensor, index) => [names[index] ?? "", tensor])));
    await program.close();
    expect(largestError(results.get("logits")?.data ?? [], fixture)).toBeLessThan(1e-4);
  });
});
