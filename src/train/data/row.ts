/**
 * One row of a data file, by its keys: text, prompt and completion, messages, ShareGPT's conversations, Alpaca's
 * instruction, or tokens.
 *
 * A row says what it is by its keys alone. Keys beside them (`id`, `source`) are carried by many sets and mean nothing here.
 */

import { describeJson, type JsonObject, type JsonValue } from "../../core/json.ts";
import { quote, summarise } from "../../core/text.ts";
import { NOT_SCORED } from "../../graph/cross-entropy.ts";
import { type Messages, readMessages } from "./row-messages.ts";
import { invalid, numbersOf, textOf } from "./row-values.ts";

export const ROW_KINDS = ["text", "completion", "messages", "sharegpt", "alpaca", "tokens"] as const;

export type RowKind = (typeof ROW_KINDS)[number];

export type Row =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "completion" | "alpaca"; readonly prompt: string; readonly completion: string }
  | ({ readonly kind: "messages" | "sharegpt" } & Messages)
  | { readonly kind: "tokens"; readonly ids: readonly number[]; readonly labels: readonly number[] };

/** The keys that a kind must have; one of them is enough to tell what a row wants to be. */
const KEYS: Record<RowKind, readonly string[]> = {
  text: ["text"],
  completion: ["prompt", "completion"],
  messages: ["messages"],
  sharegpt: ["conversations"],
  alpaca: ["instruction", "output"],
  tokens: ["input_ids"],
};

const EXPECTED =
  'expected {"text"}, {"prompt", "completion"}, {"messages"}, {"conversations"}, {"instruction", "input", "output"} or {"input_ids", "labels"}';

/**
 * @param vocabulary number of tokens that the model knows
 * @throws {FormatError} INVALID_ROW saying what was expected
 */
export function readRow(value: JsonValue, vocabulary: number): Row {
  if (!(value instanceof Map)) throw invalid(`${EXPECTED}, got ${describeJson(value)}`);
  const row = value as JsonObject;
  const kinds = ROW_KINDS.filter((kind) => KEYS[kind].some((key) => row.has(key)));
  const [kind] = kinds;
  if (kind === undefined)
    throw invalid(`${EXPECTED}, got the keys ${summarise([...row.keys()].map(quote)) || "of none"}`);
  if (kinds.length > 1) throw invalid(`the row could be ${kinds.join(" or ")}: keep the keys of one`);
  for (const key of KEYS[kind]) if (!row.has(key)) throw invalid(`${quote(key)} is missing`);
  return READERS[kind](row, vocabulary);
}

const READERS: Record<RowKind, (row: JsonObject, vocabulary: number) => Row> = {
  text: (row) => ({ kind: "text", text: textOf(row, "text") }),
  completion: readCompletion,
  messages: (row) => ({ kind: "messages", ...readMessages(row, ["messages"]) }),
  sharegpt: (row) => ({ kind: "sharegpt", ...readMessages(row, ["conversations"]) }),
  alpaca: (row) => {
    const input = row.has("input") ? textOf(row, "input") : "";
    return {
      kind: "alpaca",
      prompt: alpacaPrompt(textOf(row, "instruction"), input),
      completion: textOf(row, "output"),
    };
  },
  tokens: readTokens,
};

/** Texts, or a conversation in two lists of messages. */
function readCompletion(row: JsonObject): Row {
  if (Array.isArray(row.get("prompt"))) return { kind: "messages", ...readMessages(row, ["prompt", "completion"]) };
  return { kind: "completion", prompt: textOf(row, "prompt"), completion: textOf(row, "completion") };
}

/** Stanford Alpaca's prompt (github.com/tatsu-lab/stanford_alpaca), ended as alpaca-lora and torchtune do. */
function alpacaPrompt(instruction: string, input: string): string {
  const task = "Below is an instruction that describes a task";
  const context = input === "" ? "" : ", paired with an input that provides further context";
  const parts = [
    `${task}${context}. Write a response that appropriately completes the request.`,
    `### Instruction:\n${instruction}`,
    ...(input === "" ? [] : [`### Input:\n${input}`]),
    "### Response:",
  ];
  // The data's outputs start without a space; a line's end keeps their first token what it is on its own.
  return `${parts.join("\n\n")}\n`;
}

function readTokens(row: JsonObject, vocabulary: number): Row {
  const ids = numbersOf(row, "input_ids", `token ids from 0 to ${vocabulary - 1}`, (id) => id >= 0 && id < vocabulary);
  const isLabel = (label: number) => label === NOT_SCORED || (label >= 0 && label < vocabulary);
  const labels = row.has("labels")
    ? numbersOf(row, "labels", `token ids from 0 to ${vocabulary - 1}, or ${NOT_SCORED}`, isLabel)
    : ids;
  const mask = row.has("attention_mask")
    ? numbersOf(row, "attention_mask", "1 for every token", (one) => one === 1)
    : ids;
  for (const [key, list] of Object.entries({ labels, attention_mask: mask })) {
    if (list.length !== ids.length)
      throw invalid(`${quote(key)}: expected ${ids.length} values as in "input_ids", got ${list.length}`);
  }
  return { kind: "tokens", ids, labels };
}
