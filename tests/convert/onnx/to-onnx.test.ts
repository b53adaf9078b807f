/** Model folders as ONNX files that onnxruntime-node runs: logits and text of transformers. */

import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { convert } from "lora-tool";
import { describe, expect, it } from "vitest";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import { openModel } from "../../../src/formats/open-model.ts";
import { LOGIT_CASES, largestError, MODELS, openLogitsFixture } from "../../models/logits-fixture.ts";
import { errorOfBuilt } from "../../support/errors.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { OnnxModelFile } from "./run-onnx.ts";

const STORIES = openLogitsFixture("stories260K").folder;
const LINKED = join(MODELS, "llama");

async function exported(input: string): Promise<string> {
  const out = join(temporaryFolder(), "model.onnx");
  await convert({ input, to: "onnx", out });
  return out;
}

describe.each(LOGIT_CASES)("%s", (name) => {
  const fixture = openLogitsFixture(name);

  it("computes transformers' logits to 1e-4, in any batch", async () => {
    const model = await OnnxModelFile.open(await exported(fixture.folder));
    const { dims, data } = await model.logits(fixture);
    expect(dims).toEqual([...fixture.shape, fixture.logits.length / fixture.mask.length]);
    expect(largestError(data, fixture)).toBeLessThan(1e-4);
    const [, length] = fixture.shape;
    const [ids, mask, positions] = [fixture.ids, fixture.mask, fixture.positions].map((all) => all.slice(0, length));
    if (!ids || !mask || !positions) throw new Error("no inputs");
    const first = await model.logits({ shape: [1, length], ids, mask, positions });
    const logits = fixture.logits.slice(0, first.data.length);
    expect(largestError(first.data, { ...fixture, mask, logits })).toBeLessThan(1e-4);
    await model.close();
  });

  it("keeps every tensor of the folder by name, dtype, shape and bytes", async () => {
    const onnx = openOnnx(await exported(fixture.folder));
    const { store } = await openModel(fixture.folder);
    const others = [...store.tensors].filter(([key]) => !/vision|projector/.test(key));
    for (const [key, { dtype, shape, ...data }] of others) {
      const tensor = onnx.store.tensors.get(key);
      expect(tensor, key).toMatchObject({ dtype, shape });
      if (tensor) expect(Buffer.compare(readTensorBytes(tensor), readTensorBytes({ dtype, shape, ...data }))).toBe(0);
    }
    expect(onnx.metadata.get("config.json")).toBe(readFileSync(join(fixture.folder, "config.json"), "utf8"));
  });
});

describe("the model of stories260K", () => {
  it("generates transformers' text", async () => {
    const model = await OnnxModelFile.open(await exported(STORIES));
    const texts = JSON.parse(readFileSync(join(MODELS, "stories260K/generated.json"), "utf8"));
    for (const { prompt_ids, ids } of texts) {
      expect(await model.generate(prompt_ids, ids.length - prompt_ids.length)).toEqual(ids);
    }
    await model.close();
  });

  it("puts large tensors on pages of a data file beside the model", async () => {
    const out = await exported(STORIES);
    expect(readdirSync(join(out, "..")).sort()).toEqual(["model.onnx", "model.onnx_data"]);
    for (const { tensor } of openOnnx(out).constants.values()) {
      const external = "external" in tensor ? tensor.external : undefined;
      expect(external === undefined).toBe(tensor.data.byteLength < 1024);
      expect((external?.offset ?? 0) % 4096).toBe(0);
    }
  });

  it("is the same file each time, made from shards", async () => {
    const sharded = join(MODELS, "../stories260K-sharded-bf16");
    const [first, second] = [await exported(sharded), await exported(sharded)];
    expect(Buffer.compare(readFileSync(first), readFileSync(second))).toBe(0);
    expect(Buffer.compare(readFileSync(`${first}_data`), readFileSync(`${second}_data`))).toBe(0);
  });
});

describe("a linked model", () => {
  it("copies nothing and computes the same", async () => {
    const folder = join(temporaryFolder(), "model");
    cpSync(LINKED, folder, { recursive: true });
    const out = join(folder, "model.onnx");
    const report = await convert({ input: folder, to: "onnx", out, link: true });
    expect(report).toMatchObject({ kind: "model", result: { files: [out] } });
    expect(existsSync(`${out}_data`)).toBe(false);
    expect(statSync(out).size).toBeLessThan(20_000);
    const model = await OnnxModelFile.open(out);
    const fixture = openLogitsFixture("llama");
    expect(largestError((await model.logits(fixture)).data, fixture)).toBeLessThan(1e-4);
    await model.close();
  });

  it("may lie above the weights", async () => {
    const folder = temporaryFolder();
    cpSync(LINKED, join(folder, "inner"), { recursive: true });
    const out = join(folder, "model.onnx");
    await convert({ input: join(folder, "inner"), to: "onnx", out, link: true });
    const model = await OnnxModelFile.open(out);
    const fixture = openLogitsFixture("llama");
    expect(largestError((await model.logits(fixture)).data, fixture)).toBeLessThan(1e-4);
    await model.close();
  });

  it("is refused where the runtime would not open the weights", async () => {
    const folder = temporaryFolder();
    const out = join(folder, "model.onnx");
    const elsewhere = await errorOfBuilt(() => convert({ input: LINKED, to: "onnx", out, link: true }));
    expect(elsewhere).toMatchObject({ code: "UNSUPPORTED_MODEL", hint: expect.stringContaining("model.onnx") });
    cpSync(LINKED, join(folder, "blobs"), { recursive: true });
    const snapshot = join(folder, "snapshots", "1");
    cpSync(LINKED, snapshot, { recursive: true });
    rmSync(join(snapshot, "model.safetensors"));
    symlinkSync("../../blobs/model.safetensors", join(snapshot, "model.safetensors"));
    const input = { input: snapshot, to: "onnx", link: true, out: join(snapshot, "model.onnx") } as const;
    expect(await errorOfBuilt(() => convert(input))).toMatchObject({ code: "UNSUPPORTED_MODEL" });
    expect(existsSync(input.out)).toBe(false);
  });

  it("needs a model and ONNX", async () => {
    const options = { input: LINKED, to: "peft", out: join(temporaryFolder(), "x"), link: true } as const;
    expect(await errorOfBuilt(() => convert(options))).toMatchObject({ code: "INVALID_OPTION" });
  });
});

describe("what cannot be converted", () => {
  it("is a folder without config.json", async () => {
    const folder = temporaryFolder();
    cpSync(join(LINKED, "model.safetensors"), join(folder, "model.safetensors"));
    const out = join(folder, "out.onnx");
    expect(await errorOfBuilt(() => convert({ input: folder, to: "onnx", out }))).toMatchObject({
      code: "INVALID_CONFIG",
    });
  });

  it("is written under no other name than .onnx", async () => {
    const options = { input: LINKED, to: "onnx", out: join(temporaryFolder(), "model") } as const;
    expect(await errorOfBuilt(() => convert(options))).toMatchObject({ code: "INVALID_OPTION" });
  });

  it("leaves nothing behind, and replaces nothing unasked", async () => {
    const out = await exported(LINKED);
    const before = readFileSync(out);
    const error = await errorOfBuilt(() => convert({ input: STORIES, to: "onnx", out }));
    expect(error).toMatchObject({ code: "OUTPUT_EXISTS" });
    expect(readFileSync(out).equals(before)).toBe(true);
    expect(readdirSync(join(out, "..")).sort()).toEqual(["model.onnx", "model.onnx_data"]);
    await convert({ input: STORIES, to: "onnx", out, overwrite: true });
    expect(readFileSync(out).equals(before)).toBe(false);
  });

  it("writes nothing on a dry run", async () => {
    const folder = temporaryFolder();
    const report = await convert({ input: STORIES, to: "onnx", out: join(folder, "x.onnx"), dryRun: true });
    expect(report).toMatchObject({ kind: "model", modelType: "llama", tensors: 47 });
    expect(readdirSync(folder)).toEqual([]);
  });
});
