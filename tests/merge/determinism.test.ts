/** The same inputs give the same bytes, whatever the number of workers, the paths or the time. */

import { createHash } from "node:crypto";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { merge, PROVENANCE_KEY } from "lora-tool/merge";
import { describe, expect, test } from "vitest";
import { openModel } from "../../src/formats/open-model.ts";
import { stateOf } from "../support/folder-state.js";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { BASE_TENSORS, pair, Q, writeAdapter, writeBase } from "./small-model.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
const ADAPTERS = ["shakespeare-lora-r8", "shakespeare-rslora-r64", "shakespeare-dora-r8", "shakespeare-patterns"];
const BASES = ["stories260K", "stories260K-sharded-bf16"];

const sha256Of = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
const adapterOf = (name: string) => ({ path: join(FIXTURES, "adapters", name) });

describe.each(BASES)("%s", (baseName) => {
  test.each(ADAPTERS)("with %s gives the same bytes with one and with four workers", async (name) => {
    const folder = temporaryFolder();
    const options = { base: join(FIXTURES, baseName), adapters: [adapterOf(name)] };
    const states = [];
    for (const workers of [1, 4]) {
      const out = join(folder, String(workers));
      await merge({ ...options, out, workers });
      states.push(stateOf(out));
    }
    expect(new Set(states).size).toBe(1);
  });
});

test("a tensor that several jobs share has the same bytes, however many workers do them, and again", async () => {
  const folder = temporaryFolder();
  const [rows, columns] = [4200, 4096];
  const base = writeBase(folder, { [`${Q}.weight`]: { shape: [rows, columns], dtype: "bf16" } });
  const adapter = writeAdapter(folder, {
    [`base_model.model.${Q}.lora_A.weight`]: { shape: [2, columns] },
    [`base_model.model.${Q}.lora_B.weight`]: { shape: [rows, 2] },
  });
  const states = [];
  for (const [run, workers] of [1, 3, 3].entries()) {
    const out = join(folder, String(run));
    const { result } = await merge({ base, adapters: [{ path: adapter }], out, workers });
    expect(result?.elements).toBe(rows * columns);
    states.push(stateOf(out));
  }
  expect(new Set(states).size).toBe(1);
});

describe("the note on where the weights came from", () => {
  const noteOf = async (out: string) => (await openModel(out)).store.metadata.get(PROVENANCE_KEY) ?? "";

  test("does not depend on paths and tells inputs by their hashes", async () => {
    const folder = temporaryFolder();
    const there = { base: join(FIXTURES, "stories260K"), adapters: [adapterOf("shakespeare-lora-r8")] };
    cpSync(there.base, join(folder, "copy/of base"), { recursive: true });
    cpSync(there.adapters[0]?.path ?? "", join(folder, "other name"), { recursive: true });
    const here = { base: join(folder, "copy/of base"), adapters: [{ path: join(folder, "other name") }] };
    await merge({ ...there, out: join(folder, "a"), workers: 1 });
    const { result } = await merge({ ...here, out: join(folder, "b"), workers: 1 });
    expect(stateOf(join(folder, "a"))).toBe(stateOf(join(folder, "b")));
    const note = JSON.parse(await noteOf(join(folder, "a")));
    expect(note.base).toEqual([{ name: "model.safetensors", sha256: sha256Of(join(there.base, "model.safetensors")) }]);
    expect(note.adapters[0]).toMatchObject({ method: "LoRA", weight: 1, modules: 35, scale: [2, 2] });
    expect(result?.files).toEqual([
      { name: "model.safetensors", sha256: sha256Of(join(folder, "b/model.safetensors")) },
    ]);
  });

  test("differs for another adapter, another weight and another order", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder);
    const one = { path: writeAdapter(folder, pair(Q), {}, "one") };
    const two = { path: writeAdapter(folder, pair(Q), { lora_alpha: 2 }, "two") };
    const notes = new Set<string>();
    for (const [index, adapters] of [[one], [two], [{ ...one, weight: 0.5 }], [one, two], [two, one]].entries()) {
      const out = join(folder, `out${index}`);
      await merge({ base, adapters, out, workers: 1 });
      notes.add(await noteOf(out));
    }
    expect(notes.size).toBe(5);
  });

  test("joins the metadata that the base had", async () => {
    const folder = temporaryFolder();
    const out = join(folder, "out");
    await merge({ base: writeBase(folder, BASE_TENSORS), adapters: [{ path: writeAdapter(folder) }], out });
    expect([...(await openModel(out)).store.metadata.keys()]).toEqual(["format", PROVENANCE_KEY]);
  });
});
