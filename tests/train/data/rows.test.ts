import { describe, expect, test } from "vitest";
import { parseJson } from "../../../src/core/json-parser.ts";
import { readRecords } from "../../../src/train/data/records.ts";
import { readRow } from "../../../src/train/data/row.ts";
import { errorOf } from "../../support/errors.ts";

const rowOf = (row: unknown) => readRow(parseJson(Buffer.from(JSON.stringify(row)), { file: "" }), 100);

describe("a row", () => {
  test("is what its keys say", () => {
    expect(rowOf({ text: "a", id: 7 })).toEqual({ kind: "text", text: "a" });
    expect(rowOf({ prompt: "a", completion: "b" })).toEqual({ kind: "completion", prompt: "a", completion: "b" });
    expect(rowOf({ input_ids: [1, 2] })).toEqual({ kind: "tokens", ids: [1, 2], labels: [1, 2] });
    expect(rowOf({ input_ids: [1, 2], labels: [-100, 3], attention_mask: [1, 1] })).toEqual({
      kind: "tokens",
      ids: [1, 2],
      labels: [-100, 3],
    });
    const conversation = rowOf({
      messages: [
        { role: "user", content: "a" },
        { role: "assistant", content: "b" },
      ],
    });
    expect(conversation).toMatchObject({ kind: "messages", tools: undefined, scoredFrom: 0 });
  });

  const say = (role: string, content: string) => ({ role, content });
  const asMaps = (messages: readonly object[]) => messages.map((message) => new Map(Object.entries(message)));

  test("of a prompt and a completion in messages is a conversation of which the completion is scored", () => {
    const prompt = [say("user", "a"), say("assistant", "b"), say("user", "c")];
    const completion = [say("assistant", "d"), say("tool", "e"), say("assistant", "f")];
    expect(rowOf({ prompt, completion, tools: [] })).toEqual({
      kind: "messages",
      messages: asMaps([...prompt, ...completion]),
      tools: [],
      scoredFrom: 3,
    });
  });

  test("of ShareGPT's conversations has the roles of chat templates", () => {
    const conversations = [
      { from: "human", value: "a" },
      { from: "gpt", value: "b", weight: 1 },
      { from: "observation", value: "c" },
      say("assistant", "d"),
    ];
    const messages = asMaps([say("user", "a"), say("assistant", "b"), say("tool", "c"), say("assistant", "d")]);
    expect(rowOf({ conversations, id: 3 })).toEqual({ kind: "sharegpt", messages, tools: undefined, scoredFrom: 0 });
    expect(rowOf({ conversations, system: "" })).toMatchObject({ messages });
    const [system] = asMaps([say("system", "Be brief.")]);
    expect(rowOf({ conversations, system: "Be brief." })).toMatchObject({ messages: [system, ...messages] });
    const inList = [{ from: "system", value: "Be brief." }, ...conversations];
    expect(rowOf({ conversations: inList })).toMatchObject({ messages: [system, ...messages] });
  });

  test("of instruction, input and output becomes Alpaca's prompt", () => {
    expect(rowOf({ instruction: "Add.", input: "1 2", output: "3" })).toEqual({
      kind: "alpaca",
      prompt:
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n",
      completion: "3",
    });
    const short = rowOf({ instruction: "Sing.", output: "La" });
    expect(short).toEqual(rowOf({ instruction: "Sing.", input: "", output: "La" }));
    expect(short).toMatchObject({
      prompt:
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nSing.\n\n### Response:\n",
    });
  });

  test.each<[string, unknown, RegExp]>([
    ["no object", [1], /expected \{"text"\}.*got a list of 1/],
    ["no known key", { question: "a", answer: "b" }, /got the keys "question", "answer"/],
    ["no key at all", {}, /got the keys of none/],
    ["of two kinds", { text: "a", messages: [] }, /could be text or messages/],
    ["half a pair", { prompt: "a" }, /"completion" is missing/],
    ["half an instruction", { output: "a" }, /"instruction" is missing/],
    ["a text that is none", { text: 5 }, /"text": expected a text, got 5/],
    ["a completion of null", { prompt: "a", completion: null }, /"completion": expected a text, got nothing/],
    ["messages that are no list", { messages: "a" }, /"messages": expected a list/],
    ["no messages", { messages: [] }, /"messages": expected a list/],
    [
      "a message without a role",
      { messages: [{ content: "a" }] },
      /messages\[0\]: "role": expected a text, got nothing/,
    ],
    ["a message without content", { messages: [{ role: "user" }] }, /messages\[0\]: "content"/],
    ["nobody who answers", { messages: [{ role: "user", content: "a" }] }, /"messages": no message is the assistant's/],
    [
      "an answer in the prompt only",
      { prompt: [{ role: "assistant", content: "a" }], completion: [{ role: "user", content: "b" }] },
      /"completion": no message is the assistant's/,
    ],
    [
      "messages and a text",
      { prompt: [{ role: "user", content: "a" }], completion: "b" },
      /"completion": expected a list of \{"role", "content"\}, got "b"/,
    ],
    [
      "a text and messages",
      { prompt: "a", completion: [{ role: "assistant", content: "b" }] },
      /"completion": expected a text, got a list of 1/,
    ],
    ["an empty prompt of messages", { prompt: [], completion: [] }, /"prompt": expected a list/],
    [
      "a speaker that is not known",
      { conversations: [{ from: "narrator", value: "a" }] },
      /conversations\[0\]: "from": expected "system", "human".*, got "narrator"/,
    ],
    [
      "a speaker without words",
      { conversations: [{ from: "gpt" }] },
      /conversations\[0\]: "value": expected a text, got nothing/,
    ],
    [
      "two system messages",
      {
        conversations: [
          { from: "system", value: "a" },
          { from: "gpt", value: "b" },
        ],
        system: "c",
      },
      /"system": the conversation begins with a system message too/,
    ],
    ["ids beyond the vocabulary", { input_ids: [1, 100] }, /token ids from 0 to 99, got 100 at place 1/],
    ["ids below 0", { input_ids: [-1] }, /got -1 at place 0/],
    ["ids that are no numbers", { input_ids: ["1"] }, /got "1" at place 0/],
    ["ids that are no whole numbers", { input_ids: [1.5] }, /got 1.5/],
    [
      "labels of another length",
      { input_ids: [1, 2], labels: [1] },
      /"labels": expected 2 values as in "input_ids", got 1/,
    ],
    ["labels that are not ids", { input_ids: [1], labels: [-1] }, /or -100, got -1/],
    [
      "padding",
      { input_ids: [1, 0], attention_mask: [1, 0] },
      /"attention_mask": expected a list of 1 for every token|got 0 at place 1/,
    ],
  ])("with %s is refused", async (_, row, message) => {
    const error = await errorOf(() => rowOf(row));
    expect(error.code).toBe("INVALID_ROW");
    expect(error.message).toMatch(message);
  });
});

/** Values and lines of a file that comes in chunks of one size. */
function recordsOf(bytes: Uint8Array | string, form: "lines" | "array", size = 7): [unknown, number][] {
  const all = Buffer.from(bytes as string);
  const memory = Buffer.alloc(size);
  const chunks = function* () {
    for (let at = 0; at < all.length; at += size) {
      const count = all.copy(memory, 0, at, at + size);
      yield memory.subarray(0, count);
    }
  };
  return [...readRecords(chunks(), "rows", form)].map(({ value, line }) => [value, line]);
}

describe("lines of a file", () => {
  test("are rows, whatever their ends, however the file is read", () => {
    const text = '"é1"\r\n\n  \n[2, "long long long long"]\n"3"';
    const expected = [
      ["é1", 1],
      [[2, "long long long long"], 4],
      ["3", 5],
    ];
    for (const size of [1, 2, 3, 7, 1000]) expect(recordsOf(text, "lines", size)).toEqual(expected);
    expect(recordsOf(`${text}\n`, "lines")).toEqual(expected);
    expect(recordsOf("", "lines")).toEqual([]);
  });

  test.each<[string, string | Uint8Array, string, RegExp]>([
    ["broken JSON", '{"a":1}\n{"a":1,}\n', "INVALID_JSON", /^rows: line 2: invalid JSON at character 7/],
    ["a cut line", '{"a":1}\n{"a":', "INVALID_JSON", /^rows: line 2: /],
    ["two values", "1 2\n", "INVALID_JSON", /^rows: line 1: .*expected the end/],
    ["keys twice", '1\n\n{"a":1,"a":2}', "DUPLICATE_KEY", /^rows: line 3: "a": the key stands twice/],
    ["invalid UTF-8", Buffer.from([0x31, 0x0a, 0x22, 0xff, 0x22]), "INVALID_UTF8", /^rows: line 2: /],
    ["half a surrogate pair", '"\\ud800"', "INVALID_JSON", /^rows: line 1: .*surrogate/],
    ["Python's NaN", "[NaN]", "INVALID_JSON", /^rows: line 1: /],
    ["depth", `${"[".repeat(200)}${"]".repeat(200)}`, "INVALID_JSON", /nested deeper/],
  ])("with %s are refused", async (_, text, code, message) => {
    const error = await errorOf(() => recordsOf(text, "lines"));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.file).toBe("rows");
  });

  test("that never end are refused before they fill the memory", async () => {
    const chunk = Buffer.alloc(1024 * 1024, "x");
    let read = 0;
    const endless = function* () {
      for (;;) {
        read++;
        yield chunk;
      }
    };
    for (const form of ["lines", "array"] as const) {
      read = 0;
      const start = form === "array" ? [Buffer.from("[\n")] : [];
      const chunks = function* () {
        yield* start;
        yield* endless();
      };
      const error = await errorOf(() => [...readRecords(chunks(), "rows", form)]);
      expect(error.message).toMatch(/^rows: line [12]: the row takes more than 67108864 bytes$/);
      expect(read).toBeLessThan(70);
    }
  });
});

describe("items of an array", () => {
  test("are rows with the lines where they begin", () => {
    const text = ' [\n {"a": "],[\\"}{"},\n\n 2 ,[3,\n[4]]\n,"\\\\"] \n';
    const expected = [
      [new Map([["a", '],["}{']]), 2],
      [2, 4],
      [[3, [4]], 4],
      ["\\", 6],
    ];
    for (const size of [1, 2, 3, 7, 1000]) expect(recordsOf(text, "array", size)).toEqual(expected);
    expect(recordsOf("[]", "array")).toEqual([]);
    expect(recordsOf(" [ \n ] ", "array")).toEqual([]);
  });

  test.each<[string, string, RegExp]>([
    ["an empty file", "", /line 1: expected an array of rows, got an empty file/],
    ["no array", '\n{"text":"a"}', /line 2: expected an array of rows, which starts with "\["/],
    ["no end", '[{"a":1}', /the array does not end/],
    ["something behind it", "[1]\n2", /line 2: expected nothing behind the array/],
    ["a comma too many", "[1,]", /line 1: invalid JSON at character 0: expected a value/],
    ["a missing comma", "[1\n2]", /line 1: .*expected the end of the text/],
    ["no first item", "[,1]", /line 1: invalid JSON/],
    ["brackets that do not match", '[{"a":1]]', /line 1: invalid JSON/],
    ["a closing brace", "[ } ]", /line 1: /],
  ])("%s is refused", async (_, text, message) => {
    for (const size of [1, 1000]) {
      const error = await errorOf(() => recordsOf(text, "array", size));
      expect(error.code).toBe("INVALID_JSON");
      expect(error.message).toMatch(message);
    }
  });
});
