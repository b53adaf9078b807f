/**
 * The tokenizer files of a model folder: tokenizer.json, and the special tokens and chat template that stand in others.
 *
 * Precedence as in transformers 5: chat_template.jinja before tokenizer_config.json; the first of tokenizer_config.json,
 * special_tokens_map.json, generation_config.json and config.json that names a special token.
 */

import { join } from "node:path";
import { FormatError, MismatchError } from "../../../core/errors.ts";
import { decodeUtf8, parseJsonObject } from "../../../core/json-parser.ts";
import { MAX_CONFIG_BYTES, MAX_TOKENIZER_BYTES } from "../../../core/limits.ts";
import { quote } from "../../../core/text.ts";
import { readSmallFile } from "../../../formats/byte-source.ts";
import { listFolder, resolveInFolder } from "../../../formats/model-folder.ts";
import { Component } from "./component.ts";
import { Tokenizer } from "./tokenizer.ts";

/** Those that a chat template may name. */
const SPECIAL_TOKENS = [
  "bos_token",
  "eos_token",
  "unk_token",
  "sep_token",
  "pad_token",
  "cls_token",
  "mask_token",
] as const;

export interface OpenedTokenizer {
  /** tokenizer.json, for errors. */
  readonly file: string;
  readonly tokenizer: Tokenizer;
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  /** Texts of special tokens by name, for templates. */
  readonly specialTokens: ReadonlyMap<string, string>;
  readonly template: TemplateSource | undefined;
}

export interface TemplateSource {
  readonly text: string;
  readonly file: string;
}

/**
 * @param vocabulary tokens that the model knows
 * @returns nothing where the folder has no tokenizer.json
 * @throws {FormatError}
 * @throws {UnsupportedError} UNSUPPORTED_FORMAT
 * @throws {MismatchError} TOKENIZER_MISMATCH when the tokenizer's vocabulary is larger than the model's
 */
export function openTokenizer(folder: string, vocabulary: number): OpenedTokenizer | undefined {
  const names = new Set(listFolder(folder));
  if (!names.has("tokenizer.json")) return undefined;
  const read = (name: string, limit = MAX_CONFIG_BYTES) => {
    const path = resolveInFolder(folder, name);
    return { bytes: readSmallFile(path, limit, join(folder, name)).bytes, file: join(folder, name) };
  };
  const open = (name: string) => {
    if (!names.has(name)) return undefined;
    const { bytes, file } = read(name);
    return new Component(parseJsonObject(bytes, { file, pythonNumbers: true }), "", file);
  };
  const { bytes, file } = read("tokenizer.json", MAX_TOKENIZER_BYTES);
  const tokenizer = new Tokenizer(parseJsonObject(bytes, { file }), file);
  assertVocabulary(tokenizer, vocabulary, file);
  const config = open("tokenizer_config.json");
  const named = [config, open("special_tokens_map.json")].filter((component) => component !== undefined);
  const numbered = [open("generation_config.json"), open("config.json")].filter((component) => component !== undefined);
  const specialTokens = new Map(
    SPECIAL_TOKENS.flatMap((name) => {
      const holder = named.find((component) => component.has(name));
      return holder === undefined ? [] : [[name, textOf(holder, name)] as const];
    }),
  );
  const idOf = (name: "bos_token" | "eos_token") => {
    const text = specialTokens.get(name);
    if (text === undefined) return numberedId(numbered, `${name}_id`);
    const id = tokenizer.idOf(text);
    if (id !== undefined) return id;
    throw new FormatError("INVALID_CONFIG", `${name} ${quote(text)} is not among the tokens`, { file });
  };
  const template = names.has("chat_template.jinja") ? read("chat_template.jinja") : undefined;
  return {
    file,
    tokenizer,
    bos: idOf("bos_token"),
    eos: idOf("eos_token"),
    specialTokens,
    template:
      template === undefined
        ? templateOf(config)
        : { text: decodeUtf8(template.bytes, template.file), file: template.file },
  };
}

function assertVocabulary({ highestId }: Tokenizer, vocabulary: number, file: string): void {
  if (highestId < vocabulary) return;
  const problem = `the tokenizer has ids up to ${highestId}, the model has embeddings for 0 to ${vocabulary - 1}`;
  throw new MismatchError("TOKENIZER_MISMATCH", problem, [], {
    file,
    hint: "use the tokenizer that the model was trained with, or a base whose embeddings were resized for it",
  });
}

/** A special token is a text, or an object that has it as `content`. */
function textOf(component: Component, name: string): string {
  return component.values.get(name) instanceof Map ? component.child(name).text("content") : component.text(name);
}

/** Some models list several ids, the one that ends a text first. */
function numberedId(components: readonly Component[], key: string): number | undefined {
  const holder = components.find((component) => component.has(key));
  if (holder === undefined) return undefined;
  return Array.isArray(holder.values.get(key)) ? holder.counts(key, 0)[0] : holder.count(key, 0);
}

/** `chat_template` is a text, or a list of named ones of which `default` counts. */
function templateOf(config: Component | undefined): TemplateSource | undefined {
  if (config === undefined || !config.has("chat_template")) return undefined;
  const { file } = config;
  if (!Array.isArray(config.values.get("chat_template"))) return { text: config.text("chat_template"), file };
  const templates = config.children("chat_template");
  const found = templates.find((template) => template.text("name") === "default");
  if (found === undefined) throw config.invalid("a template named default", null, "chat_template");
  return { text: found.text("template"), file };
}
