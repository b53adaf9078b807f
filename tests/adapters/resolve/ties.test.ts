import { describe, expect, it } from "vitest";
import type { Adapter } from "../../../src/adapters/adapter.ts";
import { lora, model, resolve, tensor } from "./build.ts";

const INPUT = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";
const tied = () => model({ [INPUT]: [6, 4] }, { model_type: "llama", tie_word_embeddings: true });

const headLora = lora("lm_head", 6, 4);
const embeddingLora = lora("model.embed_tokens", 4, 6, { kind: "embedding" });
const override = (name: string, shape: readonly number[]) => ({ name, value: tensor(name, shape) });
const tokens = (name: string) => ({ name, indices: [1], rows: tensor(name, [1, 4]) });

/** [tensor, replaced?, number of steps, on both ends?] */
async function summary(parts: Partial<Adapter>) {
  const { edits, problems, unmatched } = await resolve(parts, tied());
  expect([...problems, ...unmatched]).toEqual([]);
  return edits.map((edit) => [edit.tensor, edit.replacement !== undefined, edit.steps.length, edit.bothEnds]);
}

describe("edits of a tied embedding", () => {
  it("are of one end where one end was adapted, named even if it is not stored", async () => {
    expect(await summary({ modules: [headLora] })).toEqual([[HEAD, false, 1, false]]);
    expect(await summary({ modules: [embeddingLora] })).toEqual([[INPUT, false, 1, false]]);
    expect(await summary({ overrides: [override(HEAD, [6, 4])] })).toEqual([[HEAD, true, 0, false]]);
  });

  it("are of both ends for trained tokens, unless each end has its own", async () => {
    expect(await summary({ tokenRows: [tokens("model.embed_tokens")] })).toEqual([[INPUT, false, 1, true]]);
    const own = await summary({ tokenRows: [tokens("model.embed_tokens"), tokens("lm_head")] });
    expect(own).toEqual([
      [INPUT, false, 1, false],
      [HEAD, false, 1, false],
    ]);
  });

  it("are of both ends for trained tokens where the other end has a delta, which is added to the new rows", async () => {
    const { edits } = await resolve({ modules: [headLora], tokenRows: [tokens("model.embed_tokens")] }, tied());
    expect(edits.map(({ tensor, steps }) => [tensor, steps.map(({ kind }) => kind)])).toEqual([
      [INPUT, ["replace-rows"]],
      [HEAD, ["replace-rows", "low-rank"]],
    ]);
  });

  it("are of both ends for a resized vocabulary that was saved once", async () => {
    expect(await summary({ overrides: [override(INPUT, [8, 4])] })).toEqual([[INPUT, true, 0, true]]);
    const resized = lora("model.embed_tokens", 4, 8, { kind: "embedding", baseWeight: tensor("b", [8, 4]) });
    expect(await summary({ modules: [resized] })).toEqual([
      [INPUT, true, 1, false],
      [HEAD, true, 0, false],
    ]);
  });

  it("join where both ends hold the same numbers", async () => {
    const value = tensor("e", [8, 4]);
    const same = [
      { name: INPUT, value },
      { name: HEAD, value: { ...value, name: "h" } },
    ];
    expect(await summary({ overrides: same })).toEqual([[INPUT, true, 0, true]]);
    const other = [override(INPUT, [8, 4]), override(HEAD, [8, 4])];
    expect(await summary({ overrides: other })).toEqual([
      [INPUT, true, 0, false],
      [HEAD, true, 0, false],
    ]);
  });

  it("join where ensure_weight_tying trained one delta for both, and stay apart where the deltas differ", async () => {
    const { delta } = headLora;
    if (delta.kind !== "lora") throw new Error(delta.kind);
    // The head's factors are those of the embedding, transposed: here both are filled with one number.
    const fill = (name: string, shape: readonly number[]) => {
      const filled = tensor(name, shape);
      if (filled.source.kind === "memory") new Float32Array(filled.source.bytes.buffer).fill(0.5);
      return filled;
    };
    const head = lora("lm_head", 6, 4, { delta: { kind: "lora", down: fill("ha", [2, 4]), up: fill("hb", [6, 2]) } });
    const embedding = lora("model.embed_tokens", 4, 6, {
      kind: "embedding",
      delta: { kind: "lora", down: fill("ea", [2, 6]), up: fill("eb", [4, 2]) },
    });
    expect(await summary({ modules: [embedding, head], keepsTie: true })).toEqual([[INPUT, false, 1, true]]);
    expect(await summary({ modules: [embedding], keepsTie: true })).toEqual([[INPUT, false, 1, true]]);
    const apart = [
      [INPUT, false, 1, false],
      [HEAD, false, 1, false],
    ];
    expect(await summary({ modules: [embeddingLora, headLora], keepsTie: true })).toEqual(apart);
  });
});
