/**
 * The messages of a conversation: `{"role", "content"}`, or ShareGPT's `{"from", "value"}` under the roles that chat
 * templates know.
 */

import { describeJson, type JsonObject, type JsonValue } from "../../core/json.ts";
import { quote } from "../../core/text.ts";
import { invalid, textOf } from "./row-values.ts";

export interface Messages {
  readonly messages: readonly JsonObject[];
  readonly tools: JsonValue | undefined;
  /** Index of the first message that may be scored; those before it are a prompt, whoever says them. */
  readonly scoredFrom: number;
}

/** ShareGPT's speakers, and those that sets in its form have besides. */
const ROLES: ReadonlyMap<string, string> = new Map([
  ["system", "system"],
  ["human", "user"],
  ["user", "user"],
  ["gpt", "assistant"],
  ["assistant", "assistant"],
  ["chatgpt", "assistant"],
  ["bing", "assistant"],
  ["bard", "assistant"],
  ["model", "assistant"],
  ["tool", "tool"],
  ["observation", "tool"],
]);

/**
 * @param keys of lists that follow each other; what the assistant says in the last one is to be learned
 * @throws {FormatError} INVALID_ROW saying what was expected
 */
export function readMessages(row: JsonObject, keys: readonly string[]): Messages {
  const lists = keys.map((key) => readList(row, key));
  const scored = lists.at(-1) ?? [];
  if (!scored.some((message) => message.get("role") === "assistant")) {
    throw invalid(`${quote(keys.at(-1) ?? "")}: no message is the assistant's, so there is nothing to learn`);
  }
  const messages = [...readSystem(row, lists.flat()), ...lists.flat()];
  return { messages, tools: row.get("tools"), scoredFrom: lists.length === 1 ? 0 : messages.length - scored.length };
}

function readList(row: JsonObject, key: string): readonly JsonObject[] {
  const list = row.get(key);
  if (!Array.isArray(list) || list.length === 0) {
    throw invalid(`${quote(key)}: expected a list of {"role", "content"}, got ${describeJson(list)}`);
  }
  return (list as readonly JsonValue[]).map((message, index) => readMessage(message, `${key}[${index}]`));
}

function readMessage(message: JsonValue, place: string): JsonObject {
  if (!(message instanceof Map)) throw invalid(`${place}: expected {"role", "content"}`);
  if (message.has("from") && !message.has("role")) return readSpeaker(message, place);
  textOf(message, "role", place);
  // Calls of tools may stand in place of words.
  if (!message.has("tool_calls") || typeof message.get("content") === "string") textOf(message, "content", place);
  return message;
}

function readSpeaker(message: JsonObject, place: string): JsonObject {
  const from = textOf(message, "from", place);
  const role = ROLES.get(from);
  if (role === undefined) {
    const known = [...ROLES.keys()].map(quote).join(", ");
    throw invalid(`${place}: "from": expected ${known}, got ${quote(from)}`);
  }
  return new Map([
    ["role", role],
    ["content", textOf(message, "value", place)],
  ]);
}

/** What sets in ShareGPT's form carry beside the list. */
function readSystem(row: JsonObject, [first]: readonly JsonObject[]): readonly JsonObject[] {
  if (!row.has("conversations") || !row.has("system")) return [];
  const system = textOf(row, "system");
  if (system === "") return [];
  if (first?.get("role") === "system") throw invalid('"system": the conversation begins with a system message too');
  return [
    new Map([
      ["role", "system"],
      ["content", system],
    ]),
  ];
}
