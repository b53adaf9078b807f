/**
 * Whether a model computes its input embedding and its output head from one tensor, and what both ends are called.
 *
 * `tie_word_embeddings` of config.json, else the default of the model type in transformers 5.23, else what the files
 * hold: a language model without a head can only be tied. transformers does not tie two ends that are stored with
 * different numbers, whatever the config says. Of an encoder-decoder made of two models the decoder decides.
 */

import type { JsonObject } from "../../core/json.ts";
import { sameShape } from "../../core/shape.ts";
import type { Model } from "../../formats/model.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import { sameNumbers } from "../same-numbers.ts";
import { graphTie } from "./graph-tie.ts";
import { modelTypes } from "./model-types.ts";
import { tiesByDefault } from "./tied-types.ts";

/** Names of the two ends, as the base stores them or would. */
export interface TiedEmbedding {
  readonly input: string;
  readonly output: string;
  /** An exporter made two constants of the one tensor: both change, and neither can part. */
  readonly isApart?: boolean;
  /** It stored the output end as the transpose of the input end. */
  readonly isTurned?: boolean;
}

/** The ends of a model, tied or not. */
export interface EmbeddingEnds {
  readonly input: string | undefined;
  readonly output: string;
  readonly outputIsStored: boolean;
  /** Names that the bias of the output end may have. */
  readonly outputBiases: readonly string[];
}

/** The first that ends the name of a stored matrix; encoder-decoder models share `shared`. */
const INPUT_NAMES = [
  "shared.weight",
  "decoder.embed_tokens.weight",
  "embed_tokens.weight",
  "wte.weight",
  "embed_in.weight",
  "word_embeddings.weight",
  "tok_embeddings.weight",
  "tokens_embed.weight",
  "word_embedding.weight",
  "token_embedding.weight",
  "backbone.embeddings.weight",
  "rwkv.embeddings.weight",
  "transformer.embeddings.weight",
  "transformer.w.weight",
];

const DEFAULT_OUTPUT = "lm_head.weight";

const OUTPUT_NAMES: readonly (readonly [name: string, types: readonly string[]])[] = [
  ["embed_out.weight", ["gpt_neox", "gpt_neox_japanese"]],
  ["proj_out.weight", ["whisper", "moonshine", "moonshine_streaming", "canary"]],
  ["head.weight", ["rwkv"]],
  ["output_projection.weight", ["biogpt", "trocr"]],
  ["lm_loss.weight", ["xlnet"]],
  ["pred_layer.proj.weight", ["xlm", "flaubert"]],
  ["vocab_projector.weight", ["distilbert"]],
  ["generator_lm_head.weight", ["electra", "convbert"]],
  ["lm_head.out_proj.weight", ["t5gemma", "t5gemma2"]],
  ["decoder.weight", ["modernbert", "modernbert-decoder"]],
  ["lm_head.decoder.weight", ["esm", "gte"]],
];

/** Heads whose linear layer has the bias of the module around it: one tensor with two names. */
const HEADS_WITH_OUTER_BIAS: readonly (readonly [name: string, types: readonly string[]])[] = [
  ["predictions.decoder.weight", ["albert"]],
  ["text_decoder.cls.predictions.decoder.weight", ["blip"]],
  [
    "lm_head.decoder.weight",
    (
      "roberta xlm-roberta xlm-roberta-xl camembert longformer mpnet ibert jina_embeddings_v3 bert-generation " +
      "data2vec-text roberta-prelayernorm xmod"
    ).split(" "),
  ],
  [
    "cls.predictions.decoder.weight",
    (
      "bert big_bird blip_text_model deberta deberta-v2 ernie fnet layoutlm megatron-bert mobilebert mra nomic_bert " +
      "nystromformer roc_bert roformer squeezebert tapas visual_bert yoso"
    ).split(" "),
  ],
];

const HEAD_NAMES = [...OUTPUT_NAMES, ...HEADS_WITH_OUTER_BIAS];

/** Types that join two models, whose decoder has both ends under `decoder.`. */
const JOINED_TYPES = ["encoder-decoder", "vision-encoder-decoder", "speech-encoder-decoder"];

/** Architectures that have none, whatever their config says of a tie; `LMHeadModel`, `MTModel`, joined models have one. */
const WITHOUT_HEAD =
  /(?:For\w+Classification|ForQuestionAnswering|ForMultipleChoice|ForNextSentencePrediction|(?<!Heads?|MT|EncoderDecoder)Model)$/;

/** Architectures that have a head over the vocabulary. */
const WITH_HEAD = /(?:ForCausalLM|ForConditionalGeneration|LMHeadModel)$/;

/** The part of a model that reads and writes tokens. */
interface LanguagePart {
  readonly config: JsonObject | undefined;
  readonly types: ReadonlySet<string>;
  /** What its names start with. */
  readonly scope: string;
}

function languagePart(config: JsonObject | undefined, types: ReadonlySet<string>): LanguagePart {
  const decoder = config?.get("decoder");
  if (!(decoder instanceof Map) || !JOINED_TYPES.some((type) => types.has(type))) return { config, types, scope: "" };
  return { config: decoder as JsonObject, types: modelTypes(decoder as JsonObject), scope: "decoder." };
}

/** Where the two ends of a model are, or would be. */
export function embeddingEnds(model: Model, allTypes: ReadonlySet<string>): EmbeddingEnds {
  const { types, scope } = languagePart(model.config, allTypes);
  const matrices = [...model.store.tensors.values()].filter(({ shape }) => shape.length === 2);
  const names = matrices.map(({ name }) => name).filter((name) => name.startsWith(scope));
  const input = INPUT_NAMES.map((end) => shortestWithEnd(names, end)).find((name) => name !== undefined);
  const ending = endingFor(HEAD_NAMES, types) ?? DEFAULT_OUTPUT;
  const stored =
    shortestWithEnd(names, ending) ??
    shortestWithEnd(names, DEFAULT_OUTPUT) ??
    (types.size === 0 ? outputLike(input, matrices) : undefined);
  const output = stored ?? `${scope === "" ? wrapperOf(input) : scope}${ending}`;
  const stem = output.slice(0, -"weight".length);
  // BERT's decoder takes its bias from the module around it.
  const outputBiases = [`${stem}bias`, `${stem.replace(/decoder\.$/, "")}bias`];
  return { input, output, outputIsStored: stored !== undefined, outputBiases };
}

/** Whether the bias of the head has a name beside its weight and one in the module around it. */
export function namesBiasTwice(output: string, allTypes: ReadonlySet<string>): boolean {
  const ending = endingFor(HEADS_WITH_OUTER_BIAS, allTypes);
  return ending !== undefined && (output === ending || output.endsWith(`.${ending}`));
}

function endingFor(
  rows: readonly (readonly [name: string, types: readonly string[]])[],
  types: ReadonlySet<string>,
): string | undefined {
  return rows.find(([, owners]) => owners.some((type) => types.has(type)))?.[0];
}

/** The tie of a model; `undefined` when its ends are two tensors or one of them is missing for good. */
export function tiedEmbedding(
  model: Model,
  types: ReadonlySet<string>,
  ends: EmbeddingEnds,
): TiedEmbedding | undefined {
  const { tensors } = model.store;
  const { input: storedInput, output, outputIsStored } = ends;
  // A head may be the only end that is stored.
  const input = storedInput ?? (outputIsStored ? inputFor(output) : undefined);
  if (model.graph !== undefined) {
    const isSaid = model.config === undefined || (input !== undefined && isTied(model, types, input, ends));
    return isSaid ? graphTie(model.graph, tensors, ends) : undefined;
  }
  if (input === undefined || !isTied(model, types, input, ends)) return undefined;
  const [first, second] = [tensors.get(input), tensors.get(output)];
  if (first !== undefined && second !== undefined) {
    if (!sameShape(first.shape, second.shape) || !sameNumbers(first, second)) return undefined;
  }
  return { input, output };
}

function isTied(model: Model, allTypes: ReadonlySet<string>, input: string, ends: EmbeddingEnds): boolean {
  const oneEndOnly = ends.input === undefined || !ends.outputIsStored;
  const { config, types } = languagePart(model.config, allTypes);
  if (!ends.outputIsStored && architecturesOf(model).some((name) => WITHOUT_HEAD.test(name))) return false;
  // Without a config only the names of decoders speak for a head that is missing because it is tied.
  if (config === undefined) return oneEndOnly && /(?:^|\.)(?:embed_tokens|wte)\.weight$/.test(input);
  const said = tieSettings(config);
  // Versions of transformers differ in whose word counts; a missing end settles it.
  if (said.length > 0) return said[0] === true || (oneEndOnly && said.includes(true));
  return tiesByDefault(types) || lacksHead(model, input, ends);
}

/** Whether config.json alone says that the ends are tied: by its setting, else by the default of the model type. */
export function saysTied(config: JsonObject): boolean {
  return tieSettings(config)[0] ?? tiesByDefault(modelTypes(config));
}

/** `tie_word_embeddings` of the config and of its parts, where they are set. */
function tieSettings(config: JsonObject): boolean[] {
  const inner = ["text_config", "thinker_config", "llm_config", "decoder"].map((key) => config.get(key));
  const objects = [config, ...inner.filter((value) => value instanceof Map)] as JsonObject[];
  return objects.map((object) => object.get("tie_word_embeddings")).filter((value) => typeof value === "boolean");
}

/** A language model by its architecture, and nothing in the files but its embedding has the embedding's shape. */
function lacksHead(model: Model, input: string, { outputIsStored }: EmbeddingEnds): boolean {
  const hasHead = architecturesOf(model).some((name) => WITH_HEAD.test(name));
  const { tensors } = model.store;
  const embedding = tensors.get(input);
  if (!hasHead || outputIsStored || embedding === undefined) return false;
  const alike = [...tensors.values()].filter(({ shape }) => sameShape(shape, embedding.shape));
  return alike.length === 1;
}

/** Class names that config.json gives; none where it has no list of them. */
export function architecturesOf({ config }: Pick<Model, "config">): readonly string[] {
  const names = config?.get("architectures");
  return Array.isArray(names) ? names.map(String) : [];
}

/** The head lies beside the inner `model`: `language_model.model.embed_tokens.weight` → `language_model.`. */
function wrapperOf(input = ""): string {
  return /^((?:.*?\.)??)(?:(?:model|transformer|led)\.(?:decoder\.)?\w+|shared)\.weight$/.exec(input)?.[1] ?? "";
}

function inputFor(output: string): string | undefined {
  return output.endsWith(DEFAULT_OUTPUT)
    ? `${output.slice(0, -DEFAULT_OUTPUT.length)}model.embed_tokens.weight`
    : undefined;
}

/** Without a config: a head by one of the names that heads have, as large as the embedding; graphs may hold it turned. */
function outputLike(input: string | undefined, matrices: readonly TensorData[]): string | undefined {
  const embedding = matrices.find(({ name }) => name === input);
  if (embedding === undefined) return undefined;
  const alike = matrices.filter(
    ({ shape }) => sameShape(shape, embedding.shape) || sameShape(shape.toReversed(), embedding.shape),
  );
  const names = alike.map(({ name }) => name);
  return HEAD_NAMES.map(([end]) => shortestWithEnd(names, end)).find((name) => name !== undefined);
}

function shortestWithEnd(names: readonly string[], end: string): string | undefined {
  let best: string | undefined;
  for (const name of names) {
    if (name !== end && !name.endsWith(`.${end}`)) continue;
    if (best === undefined || name.length < best.length) best = name;
  }
  return best;
}
