/** ONNX models as checkpoints: our own exports and PyTorch's give back what they were made of, byte for byte. */

import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { convert } from "lora-tool";
import { describe, expect, it } from "vitest";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import { openModel } from "../../../src/formats/open-model.ts";
import { openSafetensors } from "../../../src/formats/safetensors/reader.ts";
import { LOGIT_CASES, MODELS, openLogitsFixture } from "../../models/logits-fixture.ts";
import { errorOfBuilt } from "../../support/errors.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const EXPORTS = join(import.meta.dirname, "../../../fixtures/onnx-train");

/** PyTorch's exports of models of fixtures/models. */
const EXPORTED = readdirSync(EXPORTS).flatMap((name) => {
  const [model = "", kind = "", end] = name.split(".");
  return end === "onnx" && existsSync(join(MODELS, model)) ? [{ name, model, kind }] : [];
});

type Exported = (typeof EXPORTED)[number];

/** Norms of Gemma are exported as 1 + w; of fixed length the positions of GPT-2 are no table any more. */
const losesWeights = ({ model, kind }: Exported) =>
  model.startsWith("gemma") || (model === "gpt2" && kind === "static-dynamo");

async function expectSameWeights(found: string, original: string): Promise<void> {
  const [before, after] = [await openModel(original), await openModel(found)];
  const language = [...before.store.tensors.keys()].filter((key) => !/vision|projector/.test(key));
  const headAtRunTime = (key: string) => key.replace("embed_out", "lm_head");
  expect([...after.store.tensors.keys()].map(headAtRunTime).sort()).toEqual(language.map(headAtRunTime).sort());
  for (const key of language) {
    const tensor = after.store.tensors.get(key) ?? after.store.tensors.get(headAtRunTime(key));
    const expected = before.store.tensors.get(key);
    expect(tensor, key).toMatchObject({ dtype: expected?.dtype, shape: expected?.shape });
    expect(tensor && expected && Buffer.compare(readTensorBytes(tensor), readTensorBytes(expected)), key).toBe(0);
  }
}

describe.each(LOGIT_CASES)("our own export of %s", (name) => {
  it("comes back with the weights and settings that it was made of", async () => {
    const { folder } = openLogitsFixture(name);
    const at = temporaryFolder();
    await convert({ input: folder, to: "onnx", out: join(at, "model.onnx") });
    const out = join(at, "back");
    const report = await convert({ input: join(at, "model.onnx"), to: "safetensors", out });
    expect(report).toMatchObject({ kind: "model", from: "onnx", to: "safetensors", warnings: [], notes: [] });
    await expectSameWeights(out, folder);
    expect(readFileSync(join(out, "config.json"))).toEqual(readFileSync(join(folder, "config.json")));
    expect((await openModel(out)).store.metadata).toEqual(new Map([["format", "pt"]]));
  });
});

/** An export with the config.json of its model beside it. */
function unpack({ name, model }: Exported): string {
  const folder = temporaryFolder();
  const path = join(folder, "model.onnx");
  writeFileSync(path, gunzipSync(readFileSync(join(EXPORTS, name))));
  cpSync(join(MODELS, model, "config.json"), join(folder, "config.json"));
  return path;
}

describe.each(EXPORTED.filter((one) => !losesWeights(one)))("PyTorch's export $name", (one) => {
  it("gives the checkpoint that it was made of", async () => {
    const out = join(temporaryFolder(), "model");
    const report = await convert({ input: unpack(one), to: "safetensors", out });
    expect(report).toMatchObject({ kind: "model", from: "onnx", to: "safetensors", warnings: [] });
    await expectSameWeights(out, join(MODELS, one.model));
  });
});

describe.each(EXPORTED.filter(losesWeights))("PyTorch's export $name", (one) => {
  it("is refused where weights are folded into other constants, each by name", async () => {
    const out = join(temporaryFolder(), "model");
    const error = await errorOfBuilt(() => convert({ input: unpack(one), to: "safetensors", out }));
    expect(error).toMatchObject({ code: "MODEL_MISMATCH" });
    expect(error.message).toMatch(/(?:norm|wpe)\.weight": is missing/);
  });

  it("is written as far as it goes where nothing says what it should have, and what is left is told", async () => {
    const folder = temporaryFolder();
    const input = join(folder, "alone.onnx");
    cpSync(unpack(one), input);
    const out = join(folder, "model");
    const report = await convert({ input, to: "safetensors", out });
    expect(report.warnings.join()).toContain("not written, because nothing tells what they are");
    expect(readdirSync(out)).toEqual(["model.safetensors"]);
  });
});

describe("one file", () => {
  it("is written where the name says so", async () => {
    const folder = temporaryFolder();
    const [input, out] = [join(folder, "model.onnx"), join(folder, "model.safetensors")];
    await convert({ input: join(MODELS, "llama"), to: "onnx", out: input });
    expect(await convert({ input, to: "safetensors", out })).toMatchObject({ result: { files: [out] } });
    const original = openSafetensors(join(MODELS, "llama", "model.safetensors"));
    expect([...openSafetensors(out).tensors.keys()].sort()).toEqual([...original.tensors.keys()].sort());
  });
});

describe("what is no ONNX model", () => {
  it("becomes PEFT's safetensors where it is an adapter", async () => {
    const out = join(temporaryFolder(), "adapter");
    const input = join(MODELS, "../gguf/llama/adapter.gguf");
    const report = await convert({ input, base: join(MODELS, "../gguf/llama/base"), to: "safetensors", out });
    expect(report).toMatchObject({ kind: "adapter", from: "gguf", to: "peft" });
    expect(readdirSync(out).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  });

  it("is refused where it is none", async () => {
    const options = { input: join(MODELS, "llama"), to: "safetensors", out: join(temporaryFolder(), "x") } as const;
    expect((await errorOfBuilt(() => convert(options))).message).toContain(join(MODELS, "llama"));
  });
});
