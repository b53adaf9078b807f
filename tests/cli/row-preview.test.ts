import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import type { Io } from "../../src/cli/io.ts";
import { dataFacts, describePreviews } from "../../src/cli/row-preview.ts";
import type { RowPreview } from "../../src/train/data/preview.ts";

const io: Io = {
  stdout: new PassThrough(),
  stderr: new PassThrough(),
  interactive: false,
  signal: new AbortController().signal,
};

const span = (text: string, scored: boolean, tokens = 1) => ({ text, scored, tokens });

test("a row shows what is scored, ends of lines, and nothing that steers a terminal", () => {
  const preview: RowPreview = {
    line: 7,
    tokens: 9,
    scored: 2,
    spans: [span("<s>Ask:\u001b[2J\n", false), span("an\nswer</s>", true, 2)],
  };
  expect(describePreviews(io, [preview])).toBe(
    `Scored is what stands between ⟦ and ⟧.

line 7: 9 tokens, 2 scored
  <s>Ask:\\u{1b}[2J↵
  ⟦an↵
  swer</s>⟧ … 6 tokens more
`,
  );
});

test("long stretches show their start and their end", () => {
  const text = describePreviews(io, [{ line: undefined, tokens: 1, scored: 1, spans: [span("a".repeat(5000), true)] }]);
  expect(text).toContain("piece: 1 tokens");
  expect(text).toContain("a … a");
  expect(text.length).toBeLessThan(800);
});

test("the counts say what was cut and left out", () => {
  const counts = {
    rows: 1200,
    kept: 1190,
    dropped: 10,
    truncated: 20,
    tokens: 5000,
    scored: 1000,
    longest: 64,
    shortest: 2,
  };
  const facts = dataFacts("data", {
    path: "a\n.jsonl",
    sha256: "",
    kind: "messages",
    previews: [],
    warnings: [],
    ...counts,
  });
  expect(facts).toEqual([
    ["data", "a\\u{a}.jsonl: 1,200 conversations, 20 cut, 10 left out"],
    ["tokens", "5,000 in 1,190 rows of 2 to 64; 20 % are scored"],
  ]);
});
