/**
 * The special tokens that a tokenizer.json's post-processor puts around a text: most often BOS in front and nothing behind.
 */

import type { JsonValue } from "../../../core/json.ts";
import { Component } from "./component.ts";

const POST_PROCESSORS = ["BertProcessing", "ByteLevel", "RobertaProcessing", "Sequence", "TemplateProcessing"] as const;

/** Ids of the tokens around a text. */
export interface Ends {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

const NO_ENDS: Ends = { prefix: [], suffix: [] };

/**
 * @param value of `post_processor`
 * @throws {FormatError} INVALID_CONFIG
 * @throws {UnsupportedError} UNSUPPORTED_FORMAT
 */
export function readEnds(value: JsonValue, file: string): Ends {
  return value === null ? NO_ENDS : endsOf(new Component(value, "post_processor", file));
}

function endsOf(config: Component): Ends {
  return READERS[config.type(POST_PROCESSORS)](config);
}

const READERS: Record<(typeof POST_PROCESSORS)[number], (config: Component) => Ends> = {
  BertProcessing: (config) => ({ prefix: [idOf(config, "cls")], suffix: [idOf(config, "sep")] }),
  // Moves offsets only, which nobody asks for here.
  ByteLevel: () => NO_ENDS,
  RobertaProcessing: (config) => ({ prefix: [idOf(config, "cls")], suffix: [idOf(config, "sep")] }),
  Sequence: (config) =>
    config
      .children("processors")
      .map(endsOf)
      .reduce(
        ({ prefix, suffix }, outer) => ({ prefix: [...outer.prefix, ...prefix], suffix: [...suffix, ...outer.suffix] }),
        NO_ENDS,
      ),
  TemplateProcessing: (config) => {
    const tokens = config.child("special_tokens");
    const items = config.children("single");
    const text = items.findIndex((item) => item.has("Sequence"));
    if (text < 0) throw config.invalid("a sequence among its items", null, "single");
    const idsOf = (from: number, to: number) =>
      items.slice(from, to).flatMap((item) => tokens.child(item.child("SpecialToken").text("id")).counts("ids", 0));
    return { prefix: idsOf(0, text), suffix: idsOf(text + 1, items.length) };
  },
};

/** `["<s>", 1]` */
function idOf(config: Component, key: string): number {
  const [, id] = config.list(key);
  if (!Number.isSafeInteger(id) || Number(id) < 0)
    throw config.invalid("a token and its id", config.values.get(key), key);
  return Number(id);
}
