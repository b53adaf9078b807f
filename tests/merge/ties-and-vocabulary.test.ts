/** Rows that belong together: both ends of a model, a weight and its bias. Plans of bases and adapters in memory. */

import { describe, expect, test } from "vitest";
import type { Adapter } from "../../src/adapters/adapter.ts";
import { describeArchitecture } from "../../src/adapters/architecture/architecture.ts";
import type { Model } from "../../src/formats/model.ts";
import { chooseMethod } from "../../src/merge/combine/options.ts";
import { type MergePlan, planMerge } from "../../src/merge/plan.ts";
import { lora, model, resolve, tensor } from "../adapters/resolve/build.ts";
import { errorOf } from "../support/errors.ts";

const INPUT = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";
const UNTIED = { model_type: "llama", tie_word_embeddings: false };
const TIED = { model_type: "llama", tie_word_embeddings: true };

const override = (name: string, shape: readonly number[]) => ({ name, value: tensor(`${name}.saved`, shape) });

async function plan(base: Model, parts: Partial<Adapter>): Promise<MergePlan> {
  const resolved = await resolve(parts, base);
  return planMerge(base, describeArchitecture(base), [resolved], {
    dtype: "keep",
    allowUnused: false,
    method: chooseMethod({}),
    weights: [1],
  });
}

const shapesOf = ({ files }: MergePlan) =>
  Object.fromEntries(files.flatMap(({ tensors }) => tensors.map(({ name, shape }) => [name, shape])));

describe("a vocabulary that is resized", () => {
  const untied = () => model({ [INPUT]: [6, 4], [HEAD]: [6, 4] }, UNTIED);

  test("has as many rows at both ends, and tells the config", async () => {
    const made = await plan(untied(), { overrides: [override(INPUT, [8, 4]), override(HEAD, [8, 4])] });
    expect(made.vocabularySize).toBe(8);
    expect(shapesOf(made)).toEqual({ [INPUT]: [8, 4], [HEAD]: [8, 4] });
  });

  test.each([
    ["the input end only", untied, [override(INPUT, [8, 4])], [8, 6]],
    ["the output end only", untied, [override(HEAD, [8, 4])], [6, 8]],
    ["both ends differently", untied, [override(INPUT, [8, 4]), override(HEAD, [9, 4])], [8, 9]],
    [
      "one of two ends that the config ties and the files have apart",
      () => model({ [INPUT]: [6, 4], [HEAD]: [6, 4] }, TIED),
      [override(INPUT, [8, 4])],
      [8, 6],
    ],
    [
      "both ends of a tie differently",
      () => model({ [INPUT]: [6, 4] }, TIED),
      [override(INPUT, [8, 4]), override(HEAD, [9, 4])],
      [8, 9],
    ],
  ])("is refused for %s", async (_, base, overrides, [input, output]) => {
    const error = await errorOf(() => plan(base(), { overrides }));
    expect(error.code).toBe("ADAPTER_MISMATCH");
    expect(error.message).toContain(`"${INPUT}" gets ${input} rows and "${HEAD}" ${output}, expected equally many`);
  });

  test("is refused where the head is adapted at its old size", async () => {
    const base = model({ [INPUT]: [6, 4] }, TIED);
    const parts = { overrides: [override(INPUT, [8, 4])], modules: [lora("lm_head", 6, 4)] };
    expect((await errorOf(() => plan(base, parts))).code).toBe("ADAPTER_MISMATCH");
  });

  test("follows at both ends of a tie that is saved once", async () => {
    const made = await plan(model({ [INPUT]: [6, 4] }, TIED), { overrides: [override(INPUT, [8, 4])] });
    expect([made.vocabularySize, made.unties, shapesOf(made)]).toEqual([8, false, { [INPUT]: [8, 4] }]);
  });

  test("may keep rows that the base has more at one end", async () => {
    const base = model({ [INPUT]: [7, 4], [HEAD]: [6, 4] }, UNTIED);
    const made = await plan(base, { overrides: [override(INPUT, [9, 4]), override(HEAD, [8, 4])] });
    expect(made.vocabularySize).toBe(9);
  });

  test("needs no head in a model that has none", async () => {
    const base = model({ [INPUT]: [6, 4] }, { model_type: "llama", architectures: ["LlamaModel"] });
    expect((await plan(base, { overrides: [override(INPUT, [8, 4])] })).vocabularySize).toBe(8);
  });

  test("takes the bias of the head along, or is refused", async () => {
    const base = () => model({ [INPUT]: [6, 4], [HEAD]: [6, 4], "lm_head.bias": [6] }, UNTIED);
    const ends = [override(INPUT, [8, 4]), override(HEAD, [8, 4])];
    const made = await plan(base(), { overrides: [...ends, override("lm_head.bias", [8])] });
    expect(shapesOf(made)["lm_head.bias"]).toEqual([8]);
    const error = await errorOf(() => plan(base(), { overrides: ends }));
    expect(error.message).toContain('"lm_head.weight" gets 8 rows and "lm_head.bias" 6');
  });
});

test("the bias of BERT's head lies in the module around its weight", async () => {
  const names = ["bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"];
  const bias = "cls.predictions.bias";
  const shapes = Object.fromEntries([...names.map((name) => [name, [6, 4]]), [bias, [6]]]);
  const base = model(shapes, { model_type: "bert", tie_word_embeddings: false });
  const ends = names.map((name) => override(name, [8, 4]));
  expect(shapesOf(await plan(base, { overrides: [...ends, override(bias, [8])] }))[bias]).toEqual([8]);
  expect((await errorOf(() => plan(base, { overrides: ends }))).message).toContain(`8 rows and "${bias}" 6`);
});

describe("a classifier of other labels", () => {
  const base = () => model({ [INPUT]: [6, 4], "score.weight": [3, 4], "score.bias": [3] }, { model_type: "llama" });

  test("is no new vocabulary", async () => {
    const made = await plan(base(), { overrides: [override("score.weight", [5, 4]), override("score.bias", [5])] });
    expect([made.vocabularySize, shapesOf(made)["score.weight"]]).toEqual([undefined, [5, 4]]);
  });

  test("is refused with the bias of the old ones", async () => {
    const error = await errorOf(() => plan(base(), { overrides: [override("score.weight", [5, 4])] }));
    expect(error.message).toContain('"score.weight" gets 5 rows and "score.bias" 3');
  });
});

describe("an embedding whose uses part", () => {
  const names = ({ files }: MergePlan) => files.flatMap(({ tensors }) => tensors.map(({ name }) => name));

  test("is stored for encoder, decoder and head, which would start at random otherwise", async () => {
    const stored = {
      "model.shared.weight": [6, 4],
      "model.encoder.x.weight": [4, 4],
      "model.decoder.x.weight": [4, 4],
    };
    const config = { model_type: "marian", architectures: ["MarianMTModel"], tie_word_embeddings: true };
    const made = await plan(model(stored, config), { modules: [lora("lm_head", 6, 4)] });
    const uses = ["model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", HEAD];
    expect(made.unties).toBe(true);
    expect(names(made).sort()).toEqual([...Object.keys(stored), ...uses].sort());
  });

  test("takes the second name of the head's bias along", async () => {
    const stored = { "bert.embeddings.word_embeddings.weight": [6, 4], "cls.predictions.bias": [6] };
    const head = lora("cls.predictions.decoder", 6, 4);
    const made = await plan(model(stored, { model_type: "bert" }), { modules: [head] });
    const added = ["cls.predictions.decoder.weight", "cls.predictions.decoder.bias"];
    expect(names(made).sort()).toEqual([...Object.keys(stored), ...added].sort());
  });

  test("leaves no second name where only the bias is trained", async () => {
    const stored = { "bert.embeddings.word_embeddings.weight": [6, 4], "cls.predictions.bias": [6] };
    const made = await plan(model(stored, { model_type: "bert" }), {
      overrides: [override("cls.predictions.decoder.bias", [6])],
    });
    expect([made.unties, names(made)]).toEqual([false, Object.keys(stored)]);
  });
});
