/** What the output looks like: files, index, config and the table of a dry run. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type MergeOptions, merge } from "lora-tool/merge";
import { describe, expect, test } from "vitest";
import { readTensorBytes } from "../../src/formats/byte-source.ts";
import { openModel } from "../../src/formats/open-model.ts";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { BASE_TENSORS, Q, writeAdapter, writeBase, writeTensors } from "./small-model.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
const SINGLE = join(FIXTURES, "stories260K");
const SHARDED = join(FIXTURES, "stories260K-sharded-bf16");
const adapters = [{ path: join(FIXTURES, "adapters/shakespeare-lora-r8") }];

async function mergeTo(options: Partial<MergeOptions> & { readonly base: string }): Promise<string> {
  const out = join(temporaryFolder(), "out");
  await merge({ adapters, workers: 1, out, ...options });
  return out;
}

const weightsIn = (folder: string) => readdirSync(folder).filter((name) => name.endsWith(".safetensors"));
const jsonIn = (folder: string, name: string) => JSON.parse(readFileSync(join(folder, name), "utf8"));
const INDEX = "model.safetensors.index.json";

describe("shards", () => {
  test("stay as the base has them", async () => {
    for (const base of [SINGLE, SHARDED]) {
      const out = await mergeTo({ base });
      expect(readdirSync(out)).toEqual(readdirSync(base));
      for (const name of weightsIn(base)) {
        const keys = (folder: string) => [...openSafetensors(join(folder, name)).tensors.keys()];
        expect(keys(out)).toEqual(keys(base));
      }
    }
  });

  test.each([
    [SINGLE, 300_000],
    [SINGLE, 1],
    [SHARDED, 100_000],
  ])("of %s hold at most %d bytes of data when asked to, one tensor at least", async (base, maxShardSize) => {
    const plain = await openModel(await mergeTo({ base }));
    const out = await mergeTo({ base, maxShardSize });
    const names = weightsIn(out);
    const five = (value: number) => String(value).padStart(5, "0");
    expect(names).toEqual(names.map((_, index) => `model-${five(index + 1)}-of-${five(names.length)}.safetensors`));
    const index = jsonIn(out, INDEX);
    let total = 0;
    for (const name of names) {
      const tensors = [...openSafetensors(join(out, name)).tensors.values()];
      const bytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
      expect(bytes <= maxShardSize || tensors.length === 1).toBe(true);
      for (const tensor of tensors) expect(index.weight_map[tensor.name]).toBe(name);
      total += bytes;
    }
    expect(index.metadata.total_size).toBe(total);
    expect(Object.keys(index.weight_map)).toEqual([...plain.store.tensors.keys()].sort());
    const tensors = (await openModel(out)).store.tensors;
    for (const tensor of plain.store.tensors.values()) {
      const same = tensors.get(tensor.name);
      expect(same && Buffer.compare(readTensorBytes(same), readTensorBytes(tensor)), tensor.name).toBe(0);
    }
  });

  test("become one file without an index when all fits into one", async () => {
    const out = await mergeTo({ base: SHARDED, maxShardSize: 10 ** 9 });
    expect(weightsIn(out)).toEqual(["model.safetensors"]);
    expect(readdirSync(out)).not.toContain(INDEX);
    expect((await openModel(out)).store.tensors.size).toBe((await openModel(SHARDED)).store.tensors.size);
  });
});

describe("a base that is one file", () => {
  test("becomes one file, or a folder with one", async () => {
    const folder = temporaryFolder();
    const base = join(SINGLE, "model.safetensors");
    const file = join(folder, "merged.safetensors");
    await merge({ base, adapters, out: file, workers: 1 });
    await merge({ base, adapters, out: join(folder, "merged"), workers: 1 });
    expect(readdirSync(folder).sort()).toEqual(["merged", "merged.safetensors"]);
    expect(readdirSync(join(folder, "merged"))).toEqual(["model.safetensors"]);
    expect(readFileSync(join(folder, "merged/model.safetensors"))).toEqual(readFileSync(file));
  });
});

describe("the dtype of the output", () => {
  test.each(["f32", "f16", "bf16"] as const)("%s is that of every float tensor, and of the config", async (dtype) => {
    const name = { f32: "float32", f16: "float16", bf16: "bfloat16" }[dtype];
    for (const key of ["torch_dtype", "dtype"]) {
      const folder = temporaryFolder();
      const tensors = { ...BASE_TENSORS, "model.ids": { shape: [3], dtype: "i64" } } as const;
      const base = writeBase(folder, tensors, { torch_dtype: undefined, [key]: "float64" });
      const out = join(folder, "out");
      await merge({ base, adapters: [{ path: writeAdapter(folder) }], out, dtype, workers: 1 });
      for (const tensor of (await openModel(out)).store.tensors.values()) {
        expect(tensor.dtype, tensor.name).toBe(tensor.name === "model.ids" ? "i64" : dtype);
      }
      const config = { ...jsonIn(base, "config.json"), [key]: name };
      expect(jsonIn(out, "config.json")).toEqual(config);
    }
  });

  test("is each tensor's own by default, and the config stays as it is to the byte", async () => {
    const folder = temporaryFolder();
    const mixed = { ...BASE_TENSORS, [`${Q}.weight`]: { shape: [6, 8], dtype: "f16" } } as const;
    const base = writeBase(folder, mixed);
    writeFileSync(join(base, "config.json"), '{ "model_type":"llama",\n\n "x": 1.50, "torch_dtype": "float32" }');
    const out = join(folder, "out");
    await merge({ base, adapters: [{ path: writeAdapter(folder) }], out, workers: 1 });
    const dtypes = [...(await openModel(out)).store.tensors.values()].map(({ name, dtype }) => [name, dtype]);
    expect(Object.fromEntries(dtypes)).toMatchObject({ [`${Q}.weight`]: "f16", "model.norm.weight": "f32" });
    expect(readFileSync(join(out, "config.json"))).toEqual(readFileSync(join(base, "config.json")));
  });
});

describe("small files", () => {
  test("travel with the weights; code and links out of the folder do not", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder);
    for (const name of ["tokenizer.json", "LICENSE", "modeling_evil.py", "pytorch_model.bin"]) {
      writeFileSync(join(base, name), name);
    }
    const out = join(folder, "out");
    const report = await merge({ base, adapters: [{ path: writeAdapter(folder) }], out, workers: 1 });
    expect(readdirSync(out)).toEqual(["LICENSE", "config.json", "model.safetensors", "tokenizer.json"]);
    expect(report.warnings).toEqual([expect.stringMatching(/not carried over: modeling_evil\.py, pytorch_model\.bin/)]);
  });
});

describe("a dry run", () => {
  test("tells what becomes of every tensor and writes nothing", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder);
    const adapter = writeAdapter(folder);
    const report = await merge({
      base,
      adapters: [{ path: adapter }],
      out: join(folder, "out"),
      dryRun: true,
      dtype: "bf16",
    });
    expect(report.plan).toHaveLength(4);
    expect(report.plan).toContainEqual({
      tensor: `${Q}.weight`,
      file: "model.safetensors",
      action: "merge",
      dtype: "bf16",
      shape: [6, 8],
      modules: [Q],
    });
    expect(report.tensors).toEqual({ copy: 0, cast: 2, merge: 2, replace: 0, untie: 0, new: 0, remove: 0 });
    expect(report.result).toBeUndefined();
    expect(readdirSync(folder).sort()).toEqual(["adapter", "base"]);
  });
});

test("names that would be special in an object are tensors like others", async () => {
  const folder = temporaryFolder();
  const odd = { ["__proto__"]: { shape: [2] }, constructor: { shape: [3] }, "": { shape: [1] } };
  const base = writeBase(folder);
  writeTensors(join(base, "model.safetensors"), { ...BASE_TENSORS, ...Object.fromEntries(Object.entries(odd)) });
  const out = join(folder, "out");
  await merge({ base, adapters: [{ path: writeAdapter(folder) }], out, maxShardSize: 200, workers: 1 });
  const names = [...(await openModel(out)).store.tensors.keys()];
  expect(names).toEqual(expect.arrayContaining(["__proto__", "constructor", ""]));
  expect(({} as Record<string, unknown>)["shape"]).toBeUndefined();
});
