/** Rows against the tokens and labels of TRL's SFTTrainer (fixtures/trl). */

import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { prepareData } from "../../../src/train/data/prepare.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "../../../fixtures");

interface Set {
  readonly rows: readonly object[];
  readonly sequences: readonly { readonly tokens: number[]; readonly labels: number[] }[];
}

const sets = JSON.parse(readFileSync(join(FIXTURES, "trl/rows.json"), "utf8")) as Record<string, Set>;

test.each(Object.keys(sets))("rows of %s become the tokens and labels of TRL, cut and left out alike", (kind) => {
  const folder = temporaryFolder();
  cpSync(join(FIXTURES, "stories260K"), folder, { recursive: true });
  cpSync(join(FIXTURES, "templates/inst.jinja"), join(folder, "chat_template.jinja"));
  const { rows = [], sequences = [] } = sets[kind] ?? {};
  const path = join(folder, "rows.jsonl");
  writeFileSync(path, rows.map((row) => JSON.stringify(row)).join("\n"));
  const request = { path, tokenizerFolder: folder, vocabulary: 512, maxLength: 192, previews: 0 };
  const made = [...prepareData(request, () => {})].map(({ tokens, labels }) => ({
    tokens: [...tokens],
    labels: [...labels],
  }));
  expect(sequences.length).toBeGreaterThan(3);
  expect(made).toEqual(sequences);
});
