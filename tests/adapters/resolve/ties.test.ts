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
    const fill = (name: string, shape: readonly number[], value = 0.5) => {
      const filled = tensor(name, shape);
      if (filled.source.kind === "memory") new Float32Array(filled.source.bytes.buffer).fill(value);
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
    // A scale that was folded into lora_B stands in another factor of each end.
    if (head.delta.kind !== "lora") throw new Error(head.delta.kind);
    const folded = { ...head, scale: head.scale / 3, delta: { ...head.delta, up: fill("hb3", [6, 2], 1.5) } };
    expect(await summary({ modules: [embedding, folded], keepsTie: true })).toEqual([[INPUT, false, 1, true]]);
    expect(await summary({ modules: [embedding, { ...folded, scale: head.scale }], keepsTie: true })).toEqual(apart);
    expect(await summary({ modules: [embedding, folded], keepsTie: false })).toEqual(apart);
    expect(await summary({ modules: [embeddingLora, headLora], keepsTie: true })).toEqual(apart);
  });
});

describe("edits of an embedding that encoder and decoder share", () => {
  const names = ["shared", "encoder.embed_tokens", "decoder.embed_tokens", "lm_head"].map((name) => `${name}.weight`);
  const [SHARED = "", ENCODER = "", DECODER = "", OUT = ""] = names;
  const layers = { "encoder.block.0.q.weight": [4, 4], "decoder.block.0.q.weight": [4, 4] };
  const base = (tie = true) => {
    const stored = { [SHARED]: [6, 4], ...layers, ...(tie ? {} : { [OUT]: [6, 4] }) };
    return model(stored, { model_type: "t5", tie_word_embeddings: tie });
  };
  const summaryOf = async (parts: Partial<Adapter>, tie = true) => {
    const { edits, problems, unmatched } = await resolve(parts, base(tie));
    expect([...problems, ...unmatched]).toEqual([]);
    return edits.map(({ tensor, steps, bothEnds }) => [tensor, steps.length, bothEnds]);
  };
  const embedding = (name: string) => lora(name, 4, 6, { kind: "embedding" });

  it.each([true, false])("are of the side that the adapter names (head tied: %s)", async (tie) => {
    expect(await summaryOf({ modules: [embedding("encoder.embed_tokens")] }, tie)).toEqual([[ENCODER, 1, false]]);
    expect(await summaryOf({ overrides: [override(DECODER, [6, 4])] }, tie)).toEqual([[DECODER, 0, false]]);
    expect(await summaryOf({ tokenRows: [tokens("encoder.embed_tokens")] }, tie)).toEqual([[ENCODER, 1, false]]);
    expect(await summaryOf({ modules: [lora("lm_head", 6, 4)] }, tie)).toEqual([[OUT, 1, false]]);
  });

  it("are of all where the shared name has them", async () => {
    expect(await summaryOf({ modules: [embedding("shared")] })).toEqual([[SHARED, 1, true]]);
    expect(await summaryOf({ overrides: [override(SHARED, [6, 4])] })).toEqual([[SHARED, 0, true]]);
    expect(await summaryOf({ tokenRows: [tokens("shared")] })).toEqual([[SHARED, 1, true]]);
  });

  it("are of all but those with their own", async () => {
    const parts = { modules: [embedding("shared"), lora("lm_head", 6, 4)] };
    expect(await summaryOf(parts)).toEqual([SHARED, ENCODER, DECODER, OUT].map((name) => [name, 1, false]));
  });

  it("join where each use has the same numbers", async () => {
    const value = tensor("e", [6, 4]);
    const overrides = [ENCODER, DECODER, OUT].map((name) => ({ name, value: { ...value, name: `${name}.saved` } }));
    expect(await summaryOf({ overrides })).toEqual([[ENCODER, 0, true]]);
    expect(await summaryOf({ overrides: overrides.slice(0, 2) })).toEqual([
      [ENCODER, 0, false],
      [DECODER, 0, false],
    ]);
  });
});

describe("edits of the bias that BERT's head has under two names", () => {
  const BIAS = "lm_head.bias";
  const base = () => {
    const stored = { "roberta.embeddings.word_embeddings.weight": [6, 4], [BIAS]: [6] };
    return model(stored, { model_type: "roberta" });
  };
  const value = tensor("b", [6]);

  it.each([
    ["the outer name", [{ name: BIAS, value }]],
    ["the name beside the weight", [{ name: "lm_head.decoder.bias", value }]],
    [
      "both names",
      [
        { name: BIAS, value },
        { name: "lm_head.decoder.bias", value: { ...value, name: "c" } },
      ],
    ],
  ])("are of the one tensor under %s", async (_, overrides) => {
    const { edits, problems, unmatched } = await resolve({ overrides }, base());
    expect([...problems, ...unmatched]).toEqual([]);
    expect(edits.map(({ bothEnds }) => bothEnds)).toEqual([true]);
  });
});
