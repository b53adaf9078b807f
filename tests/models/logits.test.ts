/** Logits of tiny models of every family against transformers (fixtures/generate/models_logits.py). */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, openEngine } from "../../src/engine/engine.ts";
import type { EngineTensor } from "../../src/engine/tensor.ts";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import { integersOf, numbersOf } from "../support/read-tensor.ts";
import { buildFixture } from "./build-fixture.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
const FOLDER = join(FIXTURES, "models");

/** stories260K has its model elsewhere. */
const modelOf = (name: string) => join(name === "stories260K" ? FIXTURES : FOLDER, name);

let engine: Engine;

beforeAll(async () => {
  engine = await openEngine({ device: "cpu", threads: 1 });
});

afterAll(() => engine.close());

describe.each(readdirSync(FOLDER))("%s", (name) => {
  it("has transformers' logits to 1e-4, with padding left and right", async () => {
    const io = openSafetensors(join(FOLDER, name, "io.safetensors")).tensors;
    const stored = (key: string) => {
      const tensor = io.get(key);
      if (tensor === undefined) throw new Error(`no tensor ${key}`);
      return tensor;
    };
    const logits = stored("logits");
    const [batch = 0, length = 0, vocabulary = 0] = logits.shape;
    const { graph } = await buildFixture(modelOf(name), batch, length);
    const feed = (key: string): EngineTensor => ({
      dtype: "i64",
      shape: [batch, length],
      data: integersOf(stored(key)),
    });
    const program = await engine.compile(graph);
    const results = await program.run(
      new Map([
        ["ids", feed("input_ids")],
        ["positions", feed("position_ids")],
        ["segments", feed("attention_mask")],
      ]),
    );
    await program.close();
    const found = results.get("logits");
    const expected = numbersOf(logits);
    const mask = integersOf(stored("attention_mask"));
    let largest = 0;
    for (let index = 0; index < expected.length; index++) {
      if (mask[Math.floor(index / vocabulary)] === 0n) continue;
      largest = Math.max(largest, Math.abs(Number(found?.data[index]) - (expected[index] ?? Number.NaN)));
    }
    expect(found?.data).toHaveLength(expected.length);
    expect(largest).toBeLessThan(1e-4);
  });
});
