/** Logits of tiny models of every family against transformers (fixtures/generate/models_logits.py). */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, openEngine } from "../../src/engine/engine.ts";
import type { EngineTensor } from "../../src/engine/tensor.ts";
import { buildFixture } from "./build-fixture.ts";
import { LOGIT_CASES, largestError, openLogitsFixture } from "./logits-fixture.ts";

let engine: Engine;

beforeAll(async () => {
  engine = await openEngine({ device: "cpu", threads: 1 });
});

afterAll(() => engine.close());

describe.each(LOGIT_CASES)("%s", (name) => {
  const fixture = openLogitsFixture(name);
  const [, length] = fixture.shape;

  it.each([
    ["computed", {}],
    ["looked up", { positionLimit: length }],
  ])("has transformers' logits to 1e-4, with padding left and right and rotations %s", async (_, options) => {
    const { graph } = await buildFixture(fixture.folder, ...fixture.shape, options);
    const program = await engine.compile(graph);
    const feed = (data: BigInt64Array): EngineTensor => ({ dtype: "i64", shape: fixture.shape, data });
    const feeds = new Map([
      ["ids", feed(fixture.ids)],
      ["positions", feed(fixture.positions)],
      ["segments", feed(fixture.mask)],
    ]);
    const logits = (await program.run(feeds)).get("logits");
    await program.close();
    expect(largestError(logits?.data ?? [], fixture)).toBeLessThan(1e-4);
  });
});
