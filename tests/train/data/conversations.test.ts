/** Conversations against transformers' apply_chat_template and its masks (fixtures/templates). */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../../src/core/json.ts";
import { parseJson, parseJsonObject } from "../../../src/core/json-parser.ts";
import { ChatTemplate } from "../../../src/train/data/chat-template.ts";
import { type EncodedRow, RowEncoder } from "../../../src/train/data/encode-row.ts";
import type { OpenedTokenizer } from "../../../src/train/data/tokenizer/open-tokenizer.ts";
import { Tokenizer } from "../../../src/train/data/tokenizer/tokenizer.ts";
import { errorOf } from "../../support/errors.ts";

const FIXTURES = join(import.meta.dirname, "../../../fixtures");

interface Case {
  readonly template: string;
  readonly tokenizer: string;
  readonly special: Readonly<Record<string, string>>;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly text: string;
  readonly ids: readonly number[];
  readonly mask: string;
}

const cases = JSON.parse(readFileSync(join(FIXTURES, "templates/conversations.json"), "utf8")) as Case[];

const readTemplate = (name: string) => readFileSync(join(FIXTURES, `templates/${name}.jinja`), "utf8");

/** The template as most models have it, with nothing that marks what the assistant says. */
const withoutMarks = (source: string) =>
  source.replace(
    /(\s*)\{%(-?) *(?:end)?generation *(-?)%\}(\s*)/g,
    (_, before, left, right, after) => `${left ? "" : before}${right ? "" : after}`,
  );

const messagesOf = (messages: readonly object[]) =>
  parseJson(Buffer.from(JSON.stringify(messages)), { file: "" }) as readonly JsonObject[];

function openTokenizer({ tokenizer: kind, special }: Pick<Case, "tokenizer" | "special">): OpenedTokenizer {
  const file = join(FIXTURES, "tokenizers", kind, "tokenizer.json");
  const tokenizer = new Tokenizer(parseJsonObject(readFileSync(file), { file }), file);
  const idOf = (name: string) => tokenizer.idOf(special[name] ?? "");
  const specialTokens = new Map(Object.entries(special));
  return { file, tokenizer, bos: idOf("bos_token"), eos: idOf("eos_token"), specialTokens, template: undefined };
}

type Conversation = Pick<Case, "tokenizer" | "special" | "messages"> & { readonly scoredFrom?: number };

function encodeAll(source: string, one: Conversation, splitTurns: boolean): EncodedRow[] {
  const opened = { ...openTokenizer(one), template: { text: source, file: "t.jinja" } };
  const { scoredFrom = 0 } = one;
  const row = { kind: "messages", messages: messagesOf(one.messages), tools: undefined, scoredFrom } as const;
  return new RowEncoder(opened, splitTurns).encode(row);
}

function encode(source: string, one: Conversation): EncodedRow {
  const [encoded, ...others] = encodeAll(source, one, false);
  if (encoded === undefined || others.length > 0) throw new Error("expected one row");
  return encoded;
}

const maskOf = ({ sequence: { tokens, labels } }: EncodedRow) =>
  Array.from(labels, (label, index) => (label === tokens[index] ? "1" : "0")).join("");

describe.each(cases)("$template with $tokenizer: $messages.0.content", (one) => {
  const source = readTemplate(one.template);

  test("gives the tokens and the mask of transformers, by the template's marks", () => {
    const encoded = encode(source, one);
    expect([...encoded.sequence.tokens]).toEqual(one.ids);
    expect(maskOf(encoded)).toBe(one.mask);
  });

  test("gives them without marks, from what the template makes of the messages before a turn", () => {
    const encoded = encode(withoutMarks(source), one);
    expect([...encoded.sequence.tokens]).toEqual(one.ids);
    expect(maskOf(encoded)).toBe(one.mask);
  });
});

describe("a chat template", () => {
  const say = (...words: string[]) =>
    words.map((content, index) => ({ role: index % 2 === 0 ? "user" : "assistant", content }));
  const qwen = { tokenizer: "qwen2", special: { eos_token: "<|im_end|>" } };

  test("that rewrites earlier turns is refused for conversations where it does, with the turn's number", async () => {
    const source = readTemplate("rewriting");
    expect(maskOf(encode(source, { ...qwen, messages: say("a", "b") }))).toMatch(/^0+1+0$/);
    const error = await errorOf(() => encode(source, { ...qwen, messages: say("a", "b", "c", "d") }));
    expect(error.code).toBe("INVALID_TEMPLATE");
    expect(error.message).toBe(
      "t.jinja: chat template: message 2 is rendered otherwise once later messages follow, so what the assistant says cannot be told apart",
    );
    expect(error.hint).toMatch(/--split-turns/);
  });

  test("that rewrites earlier turns gives a row for each turn, as the model will meet it, where turns are split", () => {
    const messages = say("a", "b", "c", "d");
    const rows = encodeAll(readTemplate("rewriting"), { ...qwen, messages }, true);
    const { tokenizer } = openTokenizer(qwen);
    const seen = rows.map(({ sequence: { tokens, labels } }) => {
      const scored = [...labels].filter((label) => label >= 0);
      return [tokenizer.decode([...tokens]), tokenizer.decode(scored)];
    });
    const thought = "<think>\n\n</think>\n\n";
    const [ask, answer] = ["<|im_start|>user\n", "<|im_start|>assistant\n"];
    expect(seen).toEqual([
      [`${ask}a<|im_end|>\n${answer}${thought}b<|im_end|>\n`, `${thought}b<|im_end|>`],
      [
        `${ask}a<|im_end|>\n${answer}b<|im_end|>\n${ask}c<|im_end|>\n${answer}${thought}d<|im_end|>\n`,
        `${thought}d<|im_end|>`,
      ],
    ]);
  });

  test("splits turns alike with marks and without", () => {
    const source = readTemplate("chatml");
    const messages = say("a", "b", "c", "d");
    const rows = encodeAll(source, { ...qwen, messages }, true);
    expect(rows).toEqual(encodeAll(withoutMarks(source), { ...qwen, messages }, true));
    expect(rows).toHaveLength(2);
    expect(rows[0]).toEqual(encode(source, { ...qwen, messages: messages.slice(0, 2) }));
    expect(rows[1]?.sequence.tokens).toEqual(encode(source, { ...qwen, messages }).sequence.tokens);
  });

  test("leaves turns of a prompt unscored, with marks and without", () => {
    const source = readTemplate("chatml");
    const messages = say("a", "b", "c", "d");
    const whole = encode(source, { ...qwen, messages });
    const [, last] = encodeAll(source, { ...qwen, messages }, true);
    for (const scoredFrom of [2, 3]) {
      for (const template of [source, withoutMarks(source)]) {
        const encoded = encode(template, { ...qwen, messages, scoredFrom });
        expect(encoded.sequence.tokens).toEqual(whole.sequence.tokens);
        expect(maskOf(encoded)).toBe(last && maskOf(last));
        expect(encodeAll(template, { ...qwen, messages, scoredFrom }, true)).toEqual([last]);
      }
    }
  });

  test("may rewrite earlier turns of a prompt, of which none is scored", () => {
    const encoded = encode(readTemplate("rewriting"), { ...qwen, messages: say("a", "b", "c", "d"), scoredFrom: 3 });
    const scored = [...encoded.sequence.labels].filter((label) => label >= 0);
    expect(openTokenizer(qwen).tokenizer.decode(scored)).toBe("<think>\n\n</think>\n\nd<|im_end|>");
  });

  test("that refuses the messages is quoted", async () => {
    const messages = [...say("a", "b"), { role: "assistant", content: "c" }];
    const error = await errorOf(() => encode(readTemplate("inst"), { ...qwen, messages }));
    expect(error.message).toBe('t.jinja: chat template: "roles must alternate user and assistant"');
  });

  test.each([
    ["does not parse", "{% for m in messages %}{{ m.content", /chat template: "/],
    ["fails", "{{ messages[0].content | no_such_filter }}", /no_such_filter/],
    ["has a mark that no other one ends", "{% generation %}{{ messages[0].content }}", /marks/],
    [
      "drops text around its marks",
      "{% set x %}{% generation %} {{ messages[1].content }}{% endgeneration %}{% endset %}{{ x | trim }}",
      /marks/,
    ],
  ])("that %s is refused", async (_, source, message) => {
    const error = await errorOf(() => encode(source, { ...qwen, messages: say("a", "b") }));
    expect(error.code).toBe("INVALID_TEMPLATE");
    expect(error.message).toMatch(message);
  });

  test("that ends turns with no special token is remarked on, and its white space is learned", () => {
    const source =
      "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";
    const encoded = encode(source, { ...qwen, messages: say("Hi", "Ho") });
    expect(encoded.remarks).toContain("open-turn");
    expect(encoded.sequence.labels.at(-1)).toBe(encoded.sequence.tokens.at(-1));
  });

  test.each(["Hello", "<b>Hello</b>"])("may open thoughts in the prompt that messages lack: %s", (answer) => {
    const source =
      "{% for m in messages %}{% if m.role == 'user' %}<u>{{ m.content }}{% else %}<a>{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}<a><think>\n{% endif %}";
    const template = new ChatTemplate({ text: source, file: "t" }, new Map([["eos_token", "<e>"]]));
    const row = { messages: messagesOf(say("a", answer, "b", "c")), tools: undefined, scoredFrom: 0 };
    const { text, turns } = template.render(row);
    expect(text).toBe(`<u>a<a>${answer}<e><u>b<a>c<e>`);
    expect(turns.map(({ start, end }) => text.slice(start, end))).toEqual([`${answer}<e>`, "c<e>"]);
  });

  test("is refused where a turn follows another text than the one that asks for it", async () => {
    const source =
      "{% if add_generation_prompt %}Answer:{% endif %}{% for m in messages %}{{ m.role }}{{ m.content }}{% endfor %}";
    const error = await errorOf(() => encode(source, { ...qwen, messages: say("a", "b") }));
    expect(error.message).toContain("message 2 does not continue the prompt for it");
  });

  test.each([
    ["strip('x-')", " a "],
    ["lstrip('x-')", " a -xx-"],
    ["rstrip('x-')", "-x- a "],
    ["strip()", "-x- a -xx-"],
    ["replace('-', '').strip('xa ')", ""],
  ])("strips as Python does: %s", (call, expected) => {
    const template = new ChatTemplate({ text: `{{ messages[0].content.${call} }}`, file: "t" }, new Map());
    const messages = messagesOf([{ role: "assistant", content: "-x- a -xx-" }]);
    expect(template.render({ messages, tools: undefined, scoredFrom: 0 }).text).toBe(expected);
  });

  test.each(["reasoning_content", "thinking", "reasoning"])("gets what a message thinks under %s", (key) => {
    const source = "{{ messages[0].reasoning_content }}/{{ messages[0].thinking }}";
    const template = new ChatTemplate({ text: source, file: "t" }, new Map());
    const messages = messagesOf([{ role: "assistant", content: "a", [key]: "hm" }]);
    expect(template.render({ messages, tools: undefined, scoredFrom: 0 }).text).toBe("hm/hm");
  });

  test("gets tools, tool calls and every special token", () => {
    const source =
      "{{ bos_token is defined }}{{ eos_token }}{{ tools[0].name }}{% for m in messages %}{{ m.role }}{{ m.tool_calls[0].name if m.tool_calls else m.content }}{% endfor %}";
    const template = new ChatTemplate({ text: source, file: "t" }, new Map([["eos_token", "E"]]));
    const messages = [...say("a"), { role: "assistant", content: null, tool_calls: [{ name: "f" }] }];
    const tools = parseJson(Buffer.from('[{"name":"g","__proto__":{"polluted":1}}]'), { file: "" });
    expect(template.render({ messages: messagesOf(messages), tools, scoredFrom: 0 }).text).toBe(
      "falseEguseraassistantf",
    );
    expect(Object.keys(Object.prototype)).toEqual([]);
  });
});
