import { describe, expect, it } from "vitest";
import { describeArchitecture } from "../../../src/adapters/architecture/architecture.ts";
import { model, tensor } from "../resolve/build.ts";

type Shapes = Readonly<Record<string, readonly number[]>>;

const EMBEDDING: Shapes = { "model.embed_tokens.weight": [6, 4] };
const HEAD: Shapes = { "lm_head.weight": [6, 4] };
const TIE = { input: "model.embed_tokens.weight", output: "lm_head.weight" };

type Row = readonly [what: string, tensors: Shapes, config: Parameters<typeof model>[1], tie: typeof TIE | undefined];

describe("tied embeddings", () => {
  it.each<Row>([
    ["said by the config", EMBEDDING, { model_type: "llama", tie_word_embeddings: true }, TIE],
    ["denied by the config", EMBEDDING, { model_type: "gemma", tie_word_embeddings: false }, undefined],
    ["the default of the type", EMBEDDING, { model_type: "gemma2" }, TIE],
    ["not the default of the type", EMBEDDING, { model_type: "llama" }, undefined],
    [
      "said of the text part",
      { "model.language_model.embed_tokens.weight": [6, 4] },
      { model_type: "x", text_config: { tie_word_embeddings: true } },
      { input: "model.language_model.embed_tokens.weight", output: "lm_head.weight" },
    ],
    [
      "denied outside and said inside, without a head",
      EMBEDDING,
      { tie_word_embeddings: false, text_config: { tie_word_embeddings: true } },
      TIE,
    ],
    [
      "said by the outer part, denied inside",
      EMBEDDING,
      { tie_word_embeddings: true, text_config: { tie_word_embeddings: false } },
      TIE,
    ],
    ["two ends of different numbers", { ...EMBEDDING, ...HEAD }, { tie_word_embeddings: true }, undefined],
    [
      "two ends of different sizes",
      { ...EMBEDDING, "lm_head.weight": [7, 4] },
      { tie_word_embeddings: true },
      undefined,
    ],
    ["no config and no head", EMBEDDING, undefined, TIE],
    ["no config and a head", { ...EMBEDDING, ...HEAD }, undefined, undefined],
    ["no config and an encoder", { "embeddings.word_embeddings.weight": [6, 4] }, undefined, undefined],
    ["no embedding at all", { "model.norm.weight": [4] }, { tie_word_embeddings: true }, undefined],
    ["only the head is stored", HEAD, { tie_word_embeddings: true }, TIE],
    ["GPT-2", { "wte.weight": [6, 4] }, { model_type: "gpt2" }, { input: "wte.weight", output: "lm_head.weight" }],
    [
      "BERT",
      { "bert.embeddings.word_embeddings.weight": [6, 4] },
      { model_type: "bert" },
      { input: "bert.embeddings.word_embeddings.weight", output: "cls.predictions.decoder.weight" },
    ],
    [
      "Whisper",
      { "model.decoder.embed_tokens.weight": [6, 4] },
      { model_type: "whisper" },
      { input: "model.decoder.embed_tokens.weight", output: "proj_out.weight" },
    ],
    [
      "T5",
      { "shared.weight": [6, 4], "encoder.embed_tokens.weight": [6, 4] },
      { model_type: "t5" },
      { input: "shared.weight", output: "lm_head.weight" },
    ],
    [
      "BLIP-2 around T5",
      { "language_model.shared.weight": [6, 4] },
      { model_type: "blip-2", text_config: { tie_word_embeddings: true } },
      { input: "language_model.shared.weight", output: "language_model.lm_head.weight" },
    ],
    ...["Qwen3ForSequenceClassification", "BertForTokenClassification", "Qwen3Model", "BertForQuestionAnswering"].map(
      (name) =>
        [
          `said of a ${name}, which has no head`,
          EMBEDDING,
          { tie_word_embeddings: true, architectures: [name] },
          undefined,
        ] satisfies Row,
    ),
    ...["LlamaForCausalLM", "GPT2LMHeadModel", "NewVLForConditionalGeneration"].map(
      (name) => [`no head in a ${name}`, EMBEDDING, { model_type: "new", architectures: [name] }, TIE] satisfies Row,
    ),
    ["no head in a model without one", EMBEDDING, { model_type: "new", architectures: ["LlamaModel"] }, undefined],
    [
      "a head of an unknown name",
      { ...EMBEDDING, "output.weight": [6, 4] },
      { model_type: "new", architectures: ["NewForCausalLM"] },
      undefined,
    ],
    [
      "no head, denied by the config",
      EMBEDDING,
      { model_type: "new", architectures: ["LlamaForCausalLM"], tie_word_embeddings: false },
      undefined,
    ],
    ...["gemma4_unified_text", "granite_swa", "zaya", "blip-2", "kimi_k25", "cohere_compass_text"].map(
      (type) => [`the default of ${type}`, EMBEDDING, { model_type: type }, TIE] satisfies Row,
    ),
    [
      "the language model of BLIP-2",
      { "language_model.model.decoder.embed_tokens.weight": [6, 4] },
      { model_type: "blip-2", text_config: { model_type: "opt" } },
      { input: "language_model.model.decoder.embed_tokens.weight", output: "language_model.lm_head.weight" },
    ],
    [
      "the decoder of two joined models, whatever the whole says",
      { "encoder.embeddings.word_embeddings.weight": [6, 4], "decoder.transformer.wte.weight": [6, 4] },
      {
        model_type: "encoder-decoder",
        tie_word_embeddings: false,
        encoder: { model_type: "bert" },
        decoder: { model_type: "gpt2" },
      },
      { input: "decoder.transformer.wte.weight", output: "decoder.lm_head.weight" },
    ],
    [
      "T5Gemma, whose decoder has its own",
      { "model.encoder.embed_tokens.weight": [6, 4], "model.decoder.embed_tokens.weight": [6, 4] },
      { model_type: "t5gemma" },
      { input: "model.decoder.embed_tokens.weight", output: "lm_head.out_proj.weight" },
    ],
    [
      "a wrapped language model of older files",
      { "language_model.model.embed_tokens.weight": [6, 4] },
      { tie_word_embeddings: true },
      { input: "language_model.model.embed_tokens.weight", output: "language_model.lm_head.weight" },
    ],
  ])("%s", (_, tensors, config, tie) => {
    expect(describeArchitecture(model(tensors, config)).tie).toEqual(tie);
  });

  it("hold where both ends are stored with the same numbers", () => {
    const input = tensor("model.embed_tokens.weight", [6, 4]);
    const base = model([input, { ...input, name: "lm_head.weight" }], { tie_word_embeddings: true });
    expect(describeArchitecture(base).tie).toEqual(TIE);
  });
});

describe("model types", () => {
  it("are those of the config and of its parts", () => {
    const config = {
      model_type: "a",
      text_config: { model_type: "b", inner: { model_type: "c", deep: { model_type: "d" } } },
    };
    expect([...describeArchitecture(model({}, config)).types]).toEqual(["a", "b", "c"]);
    expect(describeArchitecture(model({})).types.size).toBe(0);
  });
});
