/**
 * Whether a model computes its input embedding and its output head from one tensor, and what both ends are called.
 *
 * `tie_word_embeddings` of config.json, else the default of the model type in transformers 5.23, else what the files
 * hold. transformers does not tie two ends that are stored with different numbers, whatever the config says.
 */

import type { JsonObject } from "../../core/json.ts";
import { sameShape } from "../../core/shape.ts";
import type { Model } from "../../formats/model.ts";
import { sameNumbers } from "../same-numbers.ts";

/** Names of the two ends, as the base stores them or would. */
export interface TiedEmbedding {
  readonly input: string;
  readonly output: string;
}

/** The ends of a model, tied or not. */
export interface EmbeddingEnds {
  readonly input: string | undefined;
  readonly output: string;
  readonly outputIsStored: boolean;
}

/** The first that ends the name of a stored matrix; encoder-decoder models share `shared`. */
const INPUT_NAMES = [
  "shared.weight",
  "embed_tokens.weight",
  "wte.weight",
  "embed_in.weight",
  "word_embeddings.weight",
  "tok_embeddings.weight",
  "tokens_embed.weight",
  "word_embedding.weight",
  "token_embedding.weight",
  "backbone.embeddings.weight",
  "transformer.w.weight",
];

const DEFAULT_OUTPUT = "lm_head.weight";

const OUTPUT_NAMES: readonly (readonly [name: string, types: readonly string[]])[] = [
  ["embed_out.weight", ["gpt_neox", "gpt_neox_japanese"]],
  ["proj_out.weight", ["whisper", "moonshine", "moonshine_streaming"]],
  ["head.weight", ["rwkv"]],
  ["output_projection.weight", ["biogpt", "trocr"]],
  ["lm_loss.weight", ["xlnet"]],
  ["pred_layer.proj.weight", ["xlm", "flaubert"]],
  ["vocab_projector.weight", ["distilbert"]],
  ["generator_lm_head.weight", ["electra", "convbert"]],
  ["predictions.decoder.weight", ["albert"]],
  ["decoder.weight", ["modernbert", "modernbert-decoder"]],
  [
    "lm_head.decoder.weight",
    ["roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "esm", "longformer", "mpnet", "ibert"],
  ],
  [
    "cls.predictions.decoder.weight",
    ["bert", "big_bird", "ernie", "megatron-bert", "mobilebert", "nystromformer", "tapas"],
  ],
];

/** Types of language models that tie where config.json is silent; every other known type does not. */
const TIED_TYPES: ReadonlySet<string> = new Set(
  (
    "albert aya_vision bart bert bert-generation big_bird bigbird_pegasus biogpt blenderbot blenderbot-small blip bloom " +
    "camembert cohere cohere2 cohere2_moe cohere2_vision convbert cpmant ctrl data2vec-text deberta deberta-v2 " +
    "deepseek_vl deepseek_vl_hybrid distilbert electra ernie ernie4_5 ernie4_5_moe ernie4_5_vl_moe esm falcon " +
    "falcon_mamba flaubert florence2 fnet funnel gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text gemma4 " +
    "gemma4_text gemma4_unified glmasr got_ocr2 gpt-sw3 gpt2 gpt_bigcode gpt_neo gpt_neox_japanese granite_speech " +
    "hunyuan_vl ibert internvl janus jetmoe kosmos-2 kosmos-2.5 layoutlm led lfm2 lfm2_moe lfm2_vl lfm3 longformer " +
    "longt5 luke m2m_100 mamba marian mbart megatron-bert minicpm3 mistral3 mobilebert modernbert modernbert-decoder " +
    "moonshine mpnet mpt mra mt5 mvp nllb-moe nomic_bert nystromformer openai-gpt opt ovis2 paddleocr_vl paligemma " +
    "pegasus pegasus_x plbart pop2piano prophetnet qwen2_5_omni_text qwen3_asr qwen3_vl_moe_text recurrent_gemma " +
    "roberta roberta-prelayernorm roformer seamless_m4t seamless_m4t_v2 shieldgemma2 smollm3 squeezebert starcoder2 " +
    "switch_transformers t5 t5gemma t5gemma2 tapas trocr udop umt5 vaultgemma voxtral_realtime whisper xglm xlm " +
    "xlm-roberta xlm-roberta-xl xlnet xmod yoso youtu zamba zamba2"
  ).split(" "),
);

/** Where the two ends of a model are, or would be. */
export function embeddingEnds(model: Model, types: ReadonlySet<string>): EmbeddingEnds {
  const names = [...model.store.tensors.values()].filter(({ shape }) => shape.length === 2).map(({ name }) => name);
  const input = INPUT_NAMES.map((end) => shortestWithEnd(names, end)).find((name) => name !== undefined);
  const ending = OUTPUT_NAMES.find(([, owners]) => owners.some((type) => types.has(type)))?.[0] ?? DEFAULT_OUTPUT;
  const stored = shortestWithEnd(names, ending) ?? shortestWithEnd(names, DEFAULT_OUTPUT);
  const output = stored ?? `${wrapperOf(input)}${ending}`;
  return { input, output, outputIsStored: stored !== undefined };
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
  if (input === undefined || !configTies(model.config, types, input, storedInput === undefined || !outputIsStored)) {
    return undefined;
  }
  const [first, second] = [tensors.get(input), tensors.get(output)];
  if (first !== undefined && second !== undefined) {
    if (!sameShape(first.shape, second.shape) || !sameNumbers(first, second)) return undefined;
  }
  return { input, output };
}

function configTies(
  config: JsonObject | undefined,
  types: ReadonlySet<string>,
  input: string,
  oneEndOnly: boolean,
): boolean {
  // Without a config only the names of decoders speak for a head that is missing because it is tied.
  if (config === undefined) return oneEndOnly && /(?:^|\.)(?:embed_tokens|wte)\.weight$/.test(input);
  const inner = ["text_config", "thinker_config", "llm_config", "decoder"].map((key) => config.get(key));
  const objects = [config, ...inner.filter((value) => value instanceof Map)] as JsonObject[];
  const said = objects.map((object) => object.get("tie_word_embeddings")).filter((value) => typeof value === "boolean");
  // Versions of transformers differ in whose word counts; a missing end settles it.
  if (said.length > 0) return said[0] === true || (oneEndOnly && said.includes(true));
  return [...types].some((type) => TIED_TYPES.has(type));
}

/** `language_model.model.embed_tokens.weight` → `language_model.`: the head lies beside the inner `model`. */
function wrapperOf(input: string | undefined): string {
  const at = input?.indexOf(".model.embed_tokens.weight") ?? -1;
  return input === undefined || at < 0 ? "" : input.slice(0, at + 1);
}

function inputFor(output: string): string | undefined {
  return output.endsWith(DEFAULT_OUTPUT)
    ? `${output.slice(0, -DEFAULT_OUTPUT.length)}model.embed_tokens.weight`
    : undefined;
}

function shortestWithEnd(names: readonly string[], end: string): string | undefined {
  let best: string | undefined;
  for (const name of names) {
    if (name !== end && !name.endsWith(`.${end}`)) continue;
    if (best === undefined || name.length < best.length) best = name;
  }
  return best;
}
