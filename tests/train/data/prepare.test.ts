import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { NOT_SCORED } from "../../../src/graph/cross-entropy.ts";
import type { Sequence } from "../../../src/train/data/batch.ts";
import type { DataRequest } from "../../../src/train/data/data-reader.ts";
import { type DataSummary, prepareData } from "../../../src/train/data/prepare.ts";
import { errorOf } from "../../support/errors.ts";
import { temporaryFile, temporaryFolder } from "../../support/temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "../../../fixtures");
const STORIES = join(FIXTURES, "stories260K");
const [BOS, EOS] = [1, 2];

interface Prepared extends DataSummary {
  readonly sequences: readonly Sequence[];
}

function prepare(path: string, change: Partial<DataRequest> = {}): Prepared {
  const sequences: Sequence[] = [];
  const request = { path, tokenizerFolder: STORIES, vocabulary: 512, maxLength: 512, previews: 5, ...change };
  const rows = prepareData(request, () => {});
  for (let next = rows.next(); ; next = rows.next()) {
    if (next.done) return { ...next.value, sequences };
    sequences.push(next.value);
  }
}

const rowsFile = (...rows: unknown[]) => temporaryFile("rows.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));

const prepareRows = (...rows: unknown[]) => prepare(rowsFile(...rows));

/** A copy of the tokenizer with other files or other values in them. */
function tokenizerFolder(files: Record<string, unknown>): string {
  const folder = temporaryFolder();
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) cpSync(join(STORIES, name), join(folder, name));
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return folder;
}

const labelsOf = ({ labels }: Sequence) => [...labels];
const textOf = ({ previews }: Prepared, scored: boolean) =>
  previews.map(({ spans }) =>
    spans
      .filter((span) => span.scored === scored)
      .map(({ text }) => text)
      .join("|"),
  );

describe("rows of text", () => {
  test("begin with BOS, end with EOS and are scored throughout", () => {
    const prepared = prepareRows({ text: "Once upon a time" }, { text: "" });
    const [first, second] = prepared.sequences;
    expect(first?.tokens[0]).toBe(BOS);
    expect(first?.tokens.at(-1)).toBe(EOS);
    expect(first?.labels).toEqual(first?.tokens);
    expect([...(second?.tokens ?? [])]).toEqual([BOS, EOS]);
    expect(prepared).toMatchObject({ kind: "text", rows: 2, kept: 2, warnings: [] });
    expect(textOf(prepared, true)[0]).toBe(" Once upon a time</s>");
  });

  test("that bring BOS and EOS get no second ones, and it is said", () => {
    const prepared = prepareRows({ text: "<s>Hi</s>" }, { text: "Hi" });
    expect(prepared.sequences[0]).toEqual(prepared.sequences[1]);
    expect(prepared.warnings).toEqual(["1 row: the text begins with BOS, so the tokenizer's own is left out"]);
  });

  test("are cut at the longest length, from the start, EOS with the rest", () => {
    const path = rowsFile({ text: "Once upon a time there was a girl" });
    const whole = prepare(path).sequences[0];
    const cut = prepare(path, { maxLength: 6 });
    expect([...(cut.sequences[0]?.tokens ?? [])]).toEqual([...(whole?.tokens ?? [])].slice(0, 6));
    expect(cut).toMatchObject({ truncated: 1, longest: 6, tokens: 6, scored: 5 });
    expect(cut.warnings).toEqual([
      "1 of 1 rows are cut at 6 tokens: their ends, EOS among them, are not learned; raise --max-length",
    ]);
  });

  test("without an EOS in the tokenizer are told", () => {
    const folder = tokenizerFolder({ "tokenizer_config.json": { bos_token: { content: "<s>" } } });
    const { warnings, sequences } = prepare(rowsFile({ text: "a" }), { tokenizerFolder: folder });
    expect(sequences[0]?.tokens.at(-1)).not.toBe(EOS);
    expect(warnings.join()).toMatch(/names no EOS/);
  });

  test("take EOS from config.json where the tokenizer's files name none", () => {
    const folder = tokenizerFolder({ "tokenizer_config.json": {}, "config.json": { eos_token_id: [2, 7] } });
    expect(prepare(rowsFile({ text: "a" }), { tokenizerFolder: folder }).sequences[0]?.tokens.at(-1)).toBe(EOS);
  });
});

describe("rows of prompt and completion", () => {
  test("are scored from the completion on, EOS included", () => {
    const prepared = prepareRows({ prompt: "Once upon a", completion: " time" });
    expect(textOf(prepared, false)).toEqual(["<s> Once upon a"]);
    expect(textOf(prepared, true)).toEqual([" time</s>"]);
    const [row] = prepared.sequences;
    expect(
      row === undefined
        ? []
        : labelsOf(row)
            .filter((label) => label !== NOT_SCORED)
            .at(-1),
    ).toBe(EOS);
  });

  test("score a token that holds the end of the prompt and the start of the completion, and say so", () => {
    const prepared = prepareRows({ prompt: "Once upon a ", completion: "time" });
    expect(textOf(prepared, true)).toEqual([" time</s>"]);
    expect(prepared.warnings).toEqual([
      "1 row: one token holds the end of the prompt and the start of what follows; it is scored",
    ]);
  });

  test("whose prompt fills the length are left out and counted", () => {
    const path = rowsFile({ prompt: "Once upon a time ", completion: "x" }, { prompt: "a", completion: "b" });
    const prepared = prepare(path, { maxLength: 4 });
    expect(prepared).toMatchObject({ rows: 2, kept: 1, dropped: 1, truncated: 1 });
    expect(prepared.warnings).toContain("1 row: left out, no token of the first 4 is scored");
  });

  test("match the counts of the real set", () => {
    const prepared = prepare(join(FIXTURES, "texts/gsm8k-100.jsonl"), { maxLength: 4096 });
    expect(prepared).toMatchObject({ kind: "completion", rows: 100, kept: 100, dropped: 0, truncated: 0 });
    for (const row of prepared.sequences) expect(row.labels.at(-1)).toBe(EOS);
  });
});

describe("rows of tokens", () => {
  test("are taken as they are, with or without a tokenizer", () => {
    const path = rowsFile({ input_ids: [5, 6, 7], labels: [-100, -100, 9] }, { input_ids: [1, 1, 8] });
    for (const folder of [STORIES, undefined, temporaryFolder()]) {
      const { sequences, scored, warnings } = prepare(path, { tokenizerFolder: folder });
      expect(sequences.map(labelsOf)).toEqual([
        [-100, -100, 9],
        [1, 1, 8],
      ]);
      expect(scored).toBe(3);
      expect(warnings).toEqual(folder === STORIES ? ["1 row: the tokens begin with two BOS"] : []);
    }
  });
});

test("rows of tokens do without the tokenizer, whatever it is", () => {
  const path = rowsFile({ input_ids: [5, 6, 7] });
  const folders = [
    tokenizerFolder({ "tokenizer.json": { model: { type: "WordPiece", vocab: {} } } }),
    tokenizerFolder({ "tokenizer.json": "{" }),
    tokenizerFolder({ "tokenizer_config.json": { eos_token: "<eos>" } }),
  ];
  for (const folder of folders) {
    const { kept, previews } = prepare(path, { tokenizerFolder: folder });
    expect(kept).toBe(1);
    expect(previews[0]?.spans[0]?.text).toBe("5 ");
  }
  expect(prepare(path, { vocabulary: 100 }).kept).toBe(1);
});

describe("a text file", () => {
  test("becomes pieces of BOS and the next tokens, each as long as it may be, the last what is left", () => {
    const path = join(FIXTURES, "texts/tinyshakespeare.txt");
    const { sequences, kind, ...counts } = prepare(path, { maxLength: 128 });
    expect(kind).toBe("pieces");
    expect(counts).toMatchObject({ rows: 5460, kept: 5460, scored: 693_363, longest: 128, shortest: 71, warnings: [] });
    expect(counts.sha256).toBe("86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed");
    expect(sequences.every(({ tokens }) => tokens[0] === BOS)).toBe(true);
    expect(sequences.slice(0, -1).every(({ tokens }) => tokens.length === 128)).toBe(true);
  });

  test("may begin with a byte order mark", () => {
    const marked = prepare(temporaryFile("a.txt", "\ufeffOnce upon a time"));
    expect(marked.sequences).toEqual(prepare(temporaryFile("a.txt", "Once upon a time")).sequences);
  });
});

test("conversations are rendered by the template of the folder, the file before the configuration", () => {
  const chat = "{% for m in messages %}{{ m.role + ':' + m.content + eos_token }}{% endfor %}";
  const other = { chat_template: "{{ 'no' }}", eos_token: "</s>" };
  const path = join(FIXTURES, "texts/messages-20.jsonl");
  const texts = [
    { "chat_template.jinja": chat, "tokenizer_config.json": other },
    { "tokenizer_config.json": { ...other, chat_template: chat } },
    { "tokenizer_config.json": { ...other, chat_template: [{ name: "default", template: chat }] } },
  ].map((files) => prepare(path, { tokenizerFolder: tokenizerFolder(files), maxLength: 2048 }));
  for (const prepared of texts) {
    expect(prepared.sequences).toEqual(texts[0]?.sequences);
    expect(textOf(prepared, true)[0]).toMatch(/^ ?assistant:Natalia sold .*72<\/s>$/s);
    expect(textOf(prepared, false)[0]).toMatch(/^ ?system:Solve .*May\?<\/s>$/s);
    expect(prepared).toMatchObject({ kind: "messages", rows: 20, kept: 20 });
  }
});

test("a broken template is no matter to rows without messages", () => {
  const folder = tokenizerFolder({ "chat_template.jinja": "{% for" });
  expect(prepare(rowsFile({ text: "a" }), { tokenizerFolder: folder }).kept).toBe(1);
});

test("a template that writes today's date is told", () => {
  const template = "{{ strftime_now('%Y') }}{% for m in messages %}{{ m.content + eos_token }}{% endfor %}";
  const folder = tokenizerFolder({ "chat_template.jinja": template });
  const { warnings } = prepare(join(FIXTURES, "texts/messages-20.jsonl"), { tokenizerFolder: folder });
  expect(warnings.join()).toMatch(/today's date/);
});

describe("a token beyond the model's embeddings", () => {
  const tokenizer = JSON.parse(readFileSync(join(STORIES, "tokenizer.json"), "utf8"));
  tokenizer.added_tokens.push({ id: 512, content: "<pad>", special: true });
  const folder = () => tokenizerFolder({ "tokenizer.json": tokenizer });

  test("may be added to the tokenizer", () => {
    expect(prepare(rowsFile({ text: "a" }), { tokenizerFolder: folder() }).kept).toBe(1);
  });

  test("is refused in rows and texts", async () => {
    const paths = [rowsFile({ text: "a<pad>" }), temporaryFile("a.txt", "a<pad>")];
    const problem = 'the token "<pad>" has id 512, the model has embeddings for 0 to 511';
    for (const [path, place] of [
      [paths[0] ?? "", "line 1: "],
      [paths[1] ?? "", ""],
    ]) {
      const error = await errorOf(() => prepare(path ?? "", { tokenizerFolder: folder() }));
      expect(error.message).toBe(`${path}: ${place}${problem}`);
    }
  });
});

test("a tokenizer with far fewer tokens than the model has embeddings is remarked on", () => {
  const { warnings } = prepare(rowsFile({ text: "a" }), { vocabulary: 32_000 });
  expect(warnings).toEqual(["the tokenizer has 512 tokens, the model 32000 embeddings: is it the model's own?"]);
});

describe("a data file is refused", () => {
  const text = (content: string | Uint8Array, name = "rows.jsonl") => temporaryFile(name, content);

  test.each<[string, () => string, string, RegExp, Partial<DataRequest>?]>([
    [
      "under a name that says nothing",
      () => text("", "rows.csv"),
      "UNSUPPORTED_FORMAT",
      /expected a \.jsonl, \.json or \.txt/,
    ],
    ["that does not exist", () => join(temporaryFolder(), "x.txt"), "FILE_NOT_FOUND", /no such file/],
    [
      "that is a folder",
      () => {
        const folder = `${temporaryFolder()}/a.txt`;
        cpSync(STORIES, folder, { recursive: true });
        return folder;
      },
      "NOT_A_REGULAR_FILE",
      /not a regular file/,
    ],
    ["without rows", () => text("\n\n"), "NOTHING_TO_LEARN", /has no rows/],
    ["without text", () => text("", "a.txt"), "NOTHING_TO_LEARN", /has no rows/],
    ["with an empty array", () => text("[]", "a.json"), "NOTHING_TO_LEARN", /has no rows/],
    [
      "where nothing is scored",
      () => rowsFile({ input_ids: [1, 2], labels: [5, -100] }),
      "NOTHING_TO_LEARN",
      /none of the 1 rows/,
    ],
    [
      "of several kinds",
      () => rowsFile({ text: "a" }, { input_ids: [1, 2] }),
      "INVALID_ROW",
      /line 2: the row is of kind tokens, those before it are of kind text/,
    ],
    [
      "with a row that is none",
      () => rowsFile({ text: "a" }, 5),
      "INVALID_ROW",
      /rows\.jsonl: line 2: expected \{"text"\}/,
    ],
    ["with ids that the model lacks", () => rowsFile({ input_ids: [512] }), "INVALID_ROW", /from 0 to 511, got 512/],
    [
      "with text and no tokenizer",
      () => rowsFile({ text: "a" }),
      "INVALID_ROW",
      /line 1: text needs a tokenizer/,
      { tokenizerFolder: undefined },
    ],
    [
      "with a text and no tokenizer",
      () => text("a", "a.txt"),
      "INVALID_ROW",
      /a\.txt: text needs a tokenizer/,
      { tokenizerFolder: undefined },
    ],
    [
      "with messages and no template",
      () => join(FIXTURES, "texts/messages-20.jsonl"),
      "INVALID_ROW",
      /line 1: messages need a chat template/,
    ],
    [
      "that is a Git-LFS pointer",
      () => text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a.txt"),
      "WRONG_FORMAT",
      /Git-LFS pointer/,
    ],
    [
      "with invalid UTF-8",
      () => text(Buffer.from("ok\nö\nbad \xff\n", "latin1"), "a.txt"),
      "INVALID_UTF8",
      /a\.txt: line 2: /,
    ],
    ["that ends inside of a character", () => text(Buffer.from([0x61, 0xc3]), "a.txt"), "INVALID_UTF8", /line 1/],
    ["when pieces hold nothing but BOS", () => text("abc", "a.txt"), "INVALID_ROW", /hold nothing/, { maxLength: 1 }],
    [
      "for a model with fewer tokens than the tokenizer",
      () => rowsFile({ text: "a" }),
      "TOKENIZER_MISMATCH",
      /tokenizer\.json: the tokenizer has ids up to 511, the model has embeddings for 0 to 255/,
      { vocabulary: 256 },
    ],
  ])("%s", async (_, path, code, message, change = {}) => {
    const error = await errorOf(() => prepare(path(), change));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  test.each([
    ["a broken tokenizer.json", { "tokenizer.json": '{"model":' }, "INVALID_JSON", /tokenizer\.json: /],
    [
      "a special token that is none",
      { "tokenizer_config.json": { eos_token: "<eos>" } },
      "INVALID_CONFIG",
      /eos_token "<eos>" is not among the tokens/,
    ],
    [
      "templates without a default",
      { "tokenizer_config.json": { chat_template: [{ name: "x", template: "" }] } },
      "INVALID_CONFIG",
      /named default/,
    ],
    [
      "a template that is no text",
      { "tokenizer_config.json": { chat_template: 5 } },
      "INVALID_CONFIG",
      /"chat_template": expected a text, got 5/,
    ],
  ])("with %s beside the model", async (_, files, code, message) => {
    const folder = tokenizerFolder(files);
    const error = await errorOf(() => prepare(rowsFile({ text: "a" }), { tokenizerFolder: folder }));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  test("with a row that the template refuses, named together with the template", async () => {
    const folder = tokenizerFolder({ "chat_template.jinja": "{{ raise_exception('no ' + messages[0].role) }}" });
    const path = join(FIXTURES, "texts/messages-20.jsonl");
    const error = await errorOf(() => prepare(path, { tokenizerFolder: folder }));
    expect(error.message).toBe(
      `${join(folder, "chat_template.jinja")}: chat template: "no system", at line 1 of ${path}`,
    );
  });
});

test("a preview of tokens without a tokenizer shows ids", () => {
  const path = rowsFile({ input_ids: [5, 6, 7], labels: [-100, -100, 7] });
  const { previews } = prepare(path, { tokenizerFolder: undefined });
  expect(previews).toEqual([
    {
      line: 1,
      tokens: 3,
      scored: 1,
      spans: [
        { scored: false, tokens: 2, text: "5 6 " },
        { scored: true, tokens: 1, text: "7 " },
      ],
    },
  ]);
});
