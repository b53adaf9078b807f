import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openModel } from "../../src/formats/open-model.ts";
import { openStore } from "../../src/formats/registry.ts";
import { errorOf } from "../support/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");
const INDEX = "model.safetensors.index.json";

function copyOf(name: string): string {
  const folder = join(temporaryFolder(), "model");
  cpSync(join(FIXTURES, name), folder, { recursive: true });
  return folder;
}

/** The sharded model with its index edited. */
function withIndex(edit: (index: { metadata: object; weight_map: Record<string, unknown> }) => void): string {
  const folder = copyOf("stories260K-sharded-bf16");
  const index = JSON.parse(readFileSync(join(folder, INDEX), "utf8"));
  edit(index);
  writeFileSync(join(folder, INDEX), JSON.stringify(index));
  return folder;
}

describe("openModel", () => {
  test("opens a folder with one weights file", async () => {
    const model = await openModel(join(FIXTURES, "stories260K"));
    expect(model).toMatchObject({ kind: "folder", indexName: undefined });
    expect(model.store.tensors.size).toBe(47);
    expect(model.config?.get("model_type")).toBe("llama");
    expect([...model.smallFiles.keys()]).toEqual([
      "config.json",
      "generation_config.json",
      "special_tokens_map.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
  });

  test("opens a sharded folder, and the same by its index", async () => {
    const folder = join(FIXTURES, "stories260K-sharded-bf16");
    const model = await openModel(folder);
    expect(model.weightFiles.map(({ name }) => name)).toEqual(
      [1, 2, 3].map((n) => `model-0000${n}-of-00003.safetensors`),
    );
    expect(model.store.tensors.size).toBe(47);
    expect((await openModel(join(folder, INDEX))).store.tensors).toEqual(model.store.tensors);
  });

  test("opens a single file and reads the config beside it", async () => {
    const model = await openModel(join(FIXTURES, "stories260K/model.safetensors"));
    expect(model.kind).toBe("file");
    expect(model.config?.get("hidden_size")).toBe(64);
    expect(model.smallFiles.size).toBe(0);
  });

  test("follows the links of the hub's cache", async () => {
    const repository = join(temporaryFolder(), "models--owner--name");
    const snapshot = join(repository, "snapshots/abc");
    mkdirSync(join(repository, "blobs"), { recursive: true });
    mkdirSync(snapshot, { recursive: true });
    for (const name of ["model.safetensors", "config.json"]) {
      cpSync(join(FIXTURES, "stories260K", name), join(repository, "blobs", `hash-${name}`));
      symlinkSync(`../../blobs/hash-${name}`, join(snapshot, name));
    }
    expect((await openModel(snapshot)).store.tensors.size).toBe(47);
  });

  test("follows the links of the hub's cache in a folder of a snapshot", async () => {
    const repository = join(temporaryFolder(), "models--owner--name");
    const part = join(repository, "snapshots/abc/unet");
    mkdirSync(join(repository, "blobs"), { recursive: true });
    mkdirSync(part, { recursive: true });
    cpSync(join(FIXTURES, "stories260K/model.safetensors"), join(repository, "blobs/hash"));
    symlinkSync("../../../blobs/hash", join(part, "diffusion_pytorch_model.safetensors"));
    expect((await openModel(part)).store.tensors.size).toBe(47);
  });

  test("opens what the user names through any link", async () => {
    const folder = temporaryFolder();
    const sharded = join(FIXTURES, "stories260K-sharded-bf16");
    symlinkSync(sharded, join(folder, "model"));
    symlinkSync(join(sharded, INDEX), join(folder, "linked.safetensors.index.json"));
    symlinkSync(join(FIXTURES, "stories260K/model.safetensors"), join(folder, "linked.safetensors"));
    for (const name of ["model", "linked.safetensors.index.json", "linked.safetensors"]) {
      expect((await openModel(join(folder, name))).store.tensors.size, name).toBe(47);
    }
  });

  test("takes a broken config beside a single file for a stranger's, and says so", async () => {
    const folder = copyOf("stories260K");
    writeFileSync(join(folder, "config.json"), "[]");
    const model = await openModel(join(folder, "model.safetensors"));
    expect(model.config).toBeUndefined();
    expect(model.store.warnings.join()).toMatch(/config\.json: expected a JSON object; the model's settings/);
  });

  test("carries the templates in their folder", async () => {
    const folder = copyOf("stories260K");
    mkdirSync(join(folder, "additional_chat_templates"));
    for (const name of ["tool_use.jinja", "evil.py"])
      writeFileSync(join(folder, "additional_chat_templates", name), "x");
    const model = await openModel(folder);
    expect(model.smallFiles.has("additional_chat_templates/tool_use.jinja")).toBe(true);
    expect(model.leftBehind.join()).toMatch(/not carried over: additional_chat_templates\/evil\.py$/);
  });

  test("tells of weights that it leaves aside", async () => {
    const folder = copyOf("stories260K");
    cpSync(join(folder, "model.safetensors"), join(folder, "consolidated.safetensors"));
    expect((await openModel(folder)).leftBehind.join()).toMatch(/not carried over: consolidated\.safetensors$/);
  });

  test("does not follow links that lead elsewhere", async () => {
    const folder = copyOf("stories260K");
    renameSync(join(folder, "model.safetensors"), join(folder, "../model.safetensors"));
    symlinkSync("../model.safetensors", join(folder, "model.safetensors"));
    expect((await errorOf(() => openModel(folder))).code).toBe("PATH_ESCAPE");
  });

  test("leaves code and strangers behind and says so", async () => {
    const folder = copyOf("stories260K");
    writeFileSync(join(folder, "modeling_evil.py"), "");
    writeFileSync(join(folder, ".env"), "");
    const model = await openModel(folder);
    expect(model.smallFiles.has("modeling_evil.py")).toBe(false);
    expect(model.leftBehind.join()).toMatch(/not carried over: \.env, modeling_evil\.py/);
  });

  test.each([
    "../x.safetensors",
    "/etc/x.safetensors",
    "a/b.safetensors",
    "..\\x.safetensors",
    "C:x.safetensors",
    "a\0.safetensors",
    "..",
    "",
    5,
    null,
  ])("refuses shard name %j", async (shard) => {
    const folder = withIndex((index) => Object.assign(index.weight_map, { "model.norm.weight": shard }));
    expect((await errorOf(() => openModel(folder))).code).toBe("INVALID_INDEX");
  });

  test.each<[string, (index: { metadata: object; weight_map: Record<string, unknown> }) => void, RegExp]>([
    ["no weight_map", (index) => Reflect.deleteProperty(index, "weight_map"), /weight_map/],
    ["a list as weight_map", (index) => Object.assign(index, { weight_map: [] }), /weight_map/],
    ["an empty weight_map", (index) => Object.assign(index, { weight_map: {} }), /weight_map/],
    [
      "a tensor that its shard lacks",
      (index) => Object.assign(index.weight_map, { extra: "model-00001-of-00003.safetensors" }),
      /"extra" is not in/,
    ],
    [
      "a tensor that is missing",
      (index) => void Reflect.deleteProperty(index.weight_map, "model.norm.weight"),
      /"model.norm.weight".*not in the index/,
    ],
    [
      "a tensor in another shard",
      (index) => Object.assign(index.weight_map, { "model.embed_tokens.weight": "model-00003-of-00003.safetensors" }),
      /"model.embed_tokens.weight"/,
    ],
  ])("refuses an index with %s", async (_, edit, message) => {
    const error = await errorOf(() => openModel(withIndex(edit)));
    expect(error.code).toBe("INVALID_INDEX");
    expect(error.message).toMatch(message);
  });

  test.each<[string, object, RegExp]>([
    ["wrong", { total_size: 5 }, /total_size says 5 bytes/],
    ["textual", { total_size: "5" }, /total_size says no number/],
  ])("warns of a %s total_size", async (_, metadata, message) => {
    const folder = withIndex((index) => Object.assign(index.metadata, metadata));
    expect((await openModel(folder)).store.warnings.join()).toMatch(message);
  });

  test("names every broken shard", async () => {
    const folder = copyOf("stories260K-sharded-bf16");
    rmSync(join(folder, "model-00001-of-00003.safetensors"));
    truncateSync(join(folder, "model-00003-of-00003.safetensors"), 100_000);
    const error = await errorOf(() => openModel(folder));
    expect(error.message).toMatch(/2 shards.*model-00001.*no such file.*model-00003.*the data ends early/);
  });

  test("names a shard that is missing, and what asks for it", async () => {
    const folder = copyOf("stories260K-sharded-bf16");
    rmSync(join(folder, "model-00002-of-00003.safetensors"));
    const error = await errorOf(() => openModel(folder));
    expect(error).toMatchObject({
      code: "FILE_NOT_FOUND",
      file: join(folder, "model-00002-of-00003.safetensors"),
      hint: expect.stringMatching(/index\.json names it: the download may be incomplete$/),
    });
  });

  test("refuses pickle weights, in a folder, in an index and by name", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "pytorch_model.bin"), "");
    expect((await errorOf(() => openModel(folder))).code).toBe("UNSUPPORTED_FORMAT");
    const indexed = withIndex((index) => Object.assign(index.weight_map, { "model.norm.weight": "x.bin" }));
    expect((await errorOf(() => openModel(indexed))).code).toBe("WRONG_FORMAT");
    expect((await errorOf(() => openStore(join(folder, "pytorch_model.bin")))).code).toBe("UNSUPPORTED_FORMAT");
  });

  test("refuses a folder with both kinds of weights, none, or a broken config", async () => {
    const both = copyOf("stories260K-sharded-bf16");
    cpSync(join(FIXTURES, "stories260K/model.safetensors"), join(both, "model.safetensors"));
    expect((await errorOf(() => openModel(both))).code).toBe("INVALID_INDEX");
    expect((await errorOf(() => openModel(temporaryFolder()))).code).toBe("FILE_NOT_FOUND");
    expect((await errorOf(() => openModel("/nowhere/at/all"))).code).toBe("FILE_NOT_FOUND");
    const broken = copyOf("stories260K");
    writeFileSync(join(broken, "config.json"), '{"a": 1, "a": 2}');
    const error = await errorOf(() => openModel(broken));
    expect(error.code).toBe("DUPLICATE_KEY");
    expect(error.message).toMatch(/config\.json: "a": the key stands twice/);
  });
});
