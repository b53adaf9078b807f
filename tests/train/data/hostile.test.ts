/** The process that prepares data against patterns and templates that never end or fill the memory. */

import { cpSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ProgressEvent } from "lora-tool";
import { describe, expect, test } from "vitest";
import { type OpenDatasetOptions, openDataset } from "../../../dist/train/data/open-dataset.js";
import { errorOfBuilt } from "../../support/errors.ts";
import { temporaryFile, temporaryFolder } from "../../support/temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "../../../fixtures");
const STORIES = join(FIXTURES, "stories260K");

function open(path: string, change: Partial<OpenDatasetOptions> = {}) {
  return openDataset({ path, tokenizerFolder: STORIES, vocabulary: 512, maxLength: 512, previews: 0, ...change });
}

/** A folder with the tokenizer and this template. */
function withTemplate(template: string): string {
  const folder = temporaryFolder();
  cpSync(join(STORIES, "tokenizer.json"), join(folder, "tokenizer.json"));
  writeFileSync(join(folder, "chat_template.jinja"), template);
  return folder;
}

/** A folder with a tokenizer whose pre-tokenizer cuts by a pattern. */
function withPattern(pattern: string): string {
  const folder = temporaryFolder();
  const values = {
    added_tokens: [],
    pre_tokenizer: { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated" },
    model: { type: "WordLevel", vocab: { a: 0 }, unk_token: "a" },
  };
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(values));
  return folder;
}

const MESSAGES = join(FIXTURES, "texts/messages-20.jsonl");

test("rows come out of the process as they went in, in order", async () => {
  const rows = Array.from({ length: 5000 }, (_, index) => ({
    input_ids: Array(100).fill(index % 512),
    labels: Array(100).fill(7),
  }));
  const path = temporaryFile("rows.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
  const events: ProgressEvent[] = [];
  const onProgress = (event: ProgressEvent) => events.push(event);
  const { sequences, summary } = await open(path, { tokenizerFolder: undefined, onProgress });
  expect(events).toHaveLength(5000);
  const { size } = statSync(path);
  expect(events.at(-1)).toEqual({ phase: "data", done: size, total: size, unit: "bytes" });
  expect(summary).toMatchObject({ kept: 5000, tokens: 500_000 });
  expect(
    sequences.every(
      ({ tokens, labels }, index) => tokens.length === 100 && tokens[99] === index % 512 && labels[0] === 7,
    ),
  ).toBe(true);
});

test("errors keep their class and say what they said in the process", async () => {
  const path = temporaryFile("rows.jsonl", '{"text":"a"}\n{"text":1}\n');
  const error = await errorOfBuilt(() => open(path));
  expect(error).toMatchObject({ name: "FormatError", code: "INVALID_ROW", file: path });
  expect(error.message).toBe(`${path}: line 2: "text": expected a text, got 1`);
});

describe("a stranger's program is ended", () => {
  test("when a pattern of the tokenizer takes for ever", async () => {
    const path = temporaryFile("rows.jsonl", `{"text":"a"}\n{"text":"${"a".repeat(60)}!"}\n`);
    const error = await errorOfBuilt(() => open(path, { tokenizerFolder: withPattern("(a+)+$"), patienceMs: 4000 }));
    expect(error).toMatchObject({ name: "FormatError", code: "INVALID_ROW" });
    expect(error.message).toBe(`${path}: line 2: preparing the row took longer than 4 s`);
    expect(error.hint).toMatch(/pattern/);
  });

  test("when a template loops", async () => {
    const loop = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    const error = await errorOfBuilt(() => open(MESSAGES, { tokenizerFolder: withTemplate(loop), patienceMs: 4000 }));
    expect(error.message).toMatch(/line 1: preparing the row took longer/);
  });

  test.each([
    ["counts to 10¹¹", "{% for a in range(100000000000) %}{% endfor %}"],
    [
      "doubles a text",
      "{% set ns = namespace(x='aaaaaaaa') %}{% for a in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x | upper }}",
    ],
  ])("when a template %s", async (_, template) => {
    const error = await errorOfBuilt(() => open(MESSAGES, { tokenizerFolder: withTemplate(template), maxHeapMb: 128 }));
    expect(["OUT_OF_MEMORY", "INVALID_TEMPLATE"]).toContain(error.code);
  });

  test("when the caller's signal comes", async () => {
    const abort = new AbortController();
    const opening = open(join(FIXTURES, "texts/tinyshakespeare.txt"), { signal: abort.signal });
    setTimeout(() => abort.abort(), 50);
    expect(await errorOfBuilt(() => opening)).toMatchObject({ code: "INTERRUPTED" });
    expect(await errorOfBuilt(() => open(MESSAGES, { signal: abort.signal }))).toMatchObject({ code: "INTERRUPTED" });
  });
});
