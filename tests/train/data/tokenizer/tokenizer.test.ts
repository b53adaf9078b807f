/** Ids against Python's tokenizers (fixtures/tokenizers) and against llama2.c's encoder (fixtures/texts). */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseJsonObject } from "../../../../src/core/json-parser.ts";
import { Tokenizer } from "../../../../src/train/data/tokenizer/tokenizer.ts";
import { errorOf } from "../../../support/errors.ts";

const FIXTURES = join(import.meta.dirname, "../../../../fixtures");
const STORIES = join(FIXTURES, "stories260K/tokenizer.json");

function open(path: string): Tokenizer {
  return new Tokenizer(parseJsonObject(readFileSync(path), { file: path }), path);
}

interface Encodings {
  readonly texts: readonly string[];
  readonly kinds: Readonly<Record<string, { readonly special: number[][]; readonly plain: number[][] }>>;
}

const { texts, kinds } = JSON.parse(readFileSync(join(FIXTURES, "tokenizers/encodings.json"), "utf8")) as Encodings;

describe.each(Object.keys(kinds))("a tokenizer of the kind %s", (kind) => {
  const tokenizer = open(join(FIXTURES, "tokenizers", kind, "tokenizer.json"));
  const expected = kinds[kind];

  test("gives the ids that Python gives, without and with the tokens around a text", () => {
    const { prefix, suffix } = tokenizer.ends;
    expect(texts.length).toBeGreaterThan(50);
    texts.forEach((text, index) => {
      const ids = tokenizer.encode(text);
      expect(ids, JSON.stringify(text)).toEqual(expected?.plain[index]);
      expect([...prefix, ...ids, ...suffix], JSON.stringify(text)).toEqual(expected?.special[index]);
    });
  });
});

describe("the tokenizer of stories260K", () => {
  const tokenizer = open(STORIES);

  test("gives the ids of llama2.c", () => {
    const lines = readFileSync(join(FIXTURES, "texts/stories260K-encode.jsonl"), "utf8").trim().split("\n");
    expect(lines).toHaveLength(51);
    for (const line of lines) {
      const { text, ids } = JSON.parse(line) as { text: string; ids: number[] };
      expect([...tokenizer.ends.prefix, ...tokenizer.encode(text)], text).toEqual(ids);
    }
  });

  test("cuts a long text without a trace", () => {
    const text = readFileSync(join(FIXTURES, "texts/tinyshakespeare.txt"), "utf8");
    const stream = tokenizer.openStream();
    const pieces = Array.from({ length: 12 }, (_, index) => text.slice(index * 100_003, (index + 1) * 100_003));
    const ids = [...pieces.flatMap((piece) => [...stream.push(piece)]), ...stream.end()].flat();
    expect(ids).toHaveLength(693_363);
    // Of the ids as int32 that Python's tokenizers 0.23.3 give for the whole text.
    const digest = createHash("sha256").update(Int32Array.from(ids)).digest("hex");
    expect(digest).toBe("d3ee453758b95ff0770e700775c509cc69cd54395d319e048100dc65c8971d2e");
  });

  test("takes words one by one with the result of the text whole, also where tokens reach over a word's start", () => {
    const values = JSON.parse(readFileSync(STORIES, "utf8"));
    const openChanged = (tokens: readonly string[]) => {
      const model = structuredClone(values.model);
      for (const token of tokens) model.vocab[token] = Object.keys(model.vocab).length;
      // Spaces in front of the merges that were there, as they are learned before.
      model.merges.unshift(["e", "▁"], ["e▁", "t"], ["▁", "▁"]);
      return new Tokenizer(parseJsonObject(Buffer.from(JSON.stringify({ ...values, model })), { file: "" }), "");
    };
    const some = openChanged(["e▁", "e▁t", "▁▁"]);
    // More characters in front of a word's start than are told apart: the text stays whole.
    const others = Array.from({ length: 50 }, (_, index) => `${String.fromCodePoint(0x4e00 + index)}▁`);
    const whole = openChanged(["e▁", "e▁t", "▁▁", ...others]);
    const unit = fc.constantFrom(" ", "  ", "▁", "a", "t", "he", "e t", "é", "\n", "🙂");
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 40 }), (text) => {
        expect(some.encode(text)).toEqual(whole.encode(text));
      }),
    );
    expect(some.encode("e t")).toContain(some.idOf("e▁t"));
  });

  test("gives texts back", () => {
    for (const text of ["Once upon a time", "two\nlines  and spaces", "né 🙂"]) {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
  });
});

describe("a tokenizer.json is refused", () => {
  const added = { id: 0, content: "<unk>", special: true };

  test.each<[string, string, unknown, string, RegExp]>([
    ["without a model", "model", null, "INVALID_CONFIG", /"model": expected an object/],
    ["for BERT", "model.type", "WordPiece", "UNSUPPORTED_FORMAT", /type "WordPiece"/],
    ["with an id below 0", "model.vocab.a", -1, "INVALID_CONFIG", /"model\.vocab\.a"/],
    ["with an id that is no whole number", "model.vocab.a", 1.5, "INVALID_CONFIG", /whole number/],
    ["with an id beyond reason", "model.vocab.zz", 2 ** 31, "INVALID_CONFIG", /below 16777216/],
    ["with one id for two tokens", "model.vocab.zz", 300, "INVALID_CONFIG", /not that of/],
    ["with merges of no tokens", "model.merges.165", ["zz", "y"], "INVALID_CONFIG", /"model\.merges\.165"/],
    ["with merges that are no pairs", "model.merges.165", "a b c", "INVALID_CONFIG", /two tokens/],
    ["with random merges", "model.dropout", 0.1, "UNSUPPORTED_FORMAT", /random/],
    [
      "with an added token of another id",
      "added_tokens.0",
      { ...added, id: 7 },
      "INVALID_CONFIG",
      /"added_tokens\.0\.id"/,
    ],
    [
      "with tokens for whole words",
      "added_tokens.0",
      { ...added, single_word: true },
      "UNSUPPORTED_FORMAT",
      /whole words/,
    ],
    ["with an unknown normaliser", "normalizer", { type: "Precompiled" }, "UNSUPPORTED_FORMAT", /Precompiled/],
    [
      "with an unknown pre-tokenizer",
      "pre_tokenizer",
      { type: "UnicodeScripts" },
      "UNSUPPORTED_FORMAT",
      /UnicodeScripts/,
    ],
    [
      "with a pattern that is none",
      "pre_tokenizer",
      { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" },
      "INVALID_CONFIG",
      /cannot be built/,
    ],
    ["with an unknown decoder", "decoder", { type: "__proto__" }, "INVALID_CONFIG", /cannot be built/],
  ])("%s", async (_, path, value, code, message) => {
    const values = JSON.parse(readFileSync(STORIES, "utf8"));
    const keys = path.split(".");
    const last = keys.pop() ?? "";
    keys.reduce((object, key) => object[key], values)[last] = value;
    const bytes = Buffer.from(JSON.stringify(values));
    const error = await errorOf(() => new Tokenizer(parseJsonObject(bytes, { file: "t.json" }), "t.json"));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^t\.json: /);
  });

  test("when a text has no token and there is none for unknown text", async () => {
    const values = { added_tokens: [], model: { type: "WordLevel", vocab: { a: 0 } } };
    const tokenizer = new Tokenizer(parseJsonObject(Buffer.from(JSON.stringify(values)), { file: "t.json" }), "t.json");
    expect(tokenizer.encode("a")).toEqual([0]);
    expect((await errorOf(() => tokenizer.encode("b\u001b[2J"))).message).toBe(
      't.json: there is no token for "b\\u{1b}[2J", and none for unknown text',
    );
  });
});
