import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findWeights } from "../../src/formats/find-weights.ts";
import { errorOf } from "../support/errors.ts";

const INDEX = "model.safetensors.index.json";
const shards = (stem: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${stem}-0000${index + 1}-of-0000${count}.safetensors`);

describe("findWeights", () => {
  test.each<[string, string[], string]>([
    ["one file", ["model.safetensors", "config.json"], "model.safetensors"],
    ["an index and its shards", [INDEX, ...shards("model", 2)], INDEX],
    ["an index whose shards are missing", [INDEX], INDEX],
    ["one file of another name", ["weights.safetensors"], "weights.safetensors"],
    ["diffusers' own names", ["diffusion_pytorch_model.safetensors"], "diffusion_pytorch_model.safetensors"],
    [
      "a sharded diffusers model",
      ["diffusion_pytorch_model.safetensors.index.json", ...shards("diffusion_pytorch_model", 2)],
      "diffusion_pytorch_model.safetensors.index.json",
    ],
    ["Mistral's second copy", ["consolidated.safetensors", INDEX, ...shards("model", 2)], INDEX],
    [
      "Mistral's second sharded copy",
      ["consolidated.safetensors.index.json", ...shards("consolidated", 3), INDEX, ...shards("model", 2)],
      INDEX,
    ],
    ["a second variant", ["model.fp16.safetensors", "model.safetensors"], "model.safetensors"],
    ["pickles beside", ["model.safetensors", "pytorch_model.bin"], "model.safetensors"],
    ["an adapter beside", ["model.safetensors", "adapter_model.safetensors"], "model.safetensors"],
  ])("chooses from a folder with %s", (_, names, expected) => {
    expect(findWeights("folder", names)).toBe(expected);
  });

  test.each<[string, string[], string]>([
    ["a file and an index", ["model.safetensors", INDEX, ...shards("model", 2)], "INVALID_INDEX"],
    ["a file and shards of an older save", ["model.safetensors", ...shards("model", 2)], "INVALID_INDEX"],
    ["shards of two saves", [INDEX, ...shards("model", 2), ...shards("model", 3)], "INVALID_INDEX"],
    ["shards without an index", shards("model", 2), "FILE_NOT_FOUND"],
    ["a single shard without an index", ["model-00001-of-00003.safetensors"], "FILE_NOT_FOUND"],
    ["several files", ["a.safetensors", "b.safetensors"], "FILE_NOT_FOUND"],
    ["an adapter only", ["adapter_model.safetensors"], "FILE_NOT_FOUND"],
    ["nothing", [], "FILE_NOT_FOUND"],
    ["pickles only", ["pytorch_model.bin"], "UNSUPPORTED_FORMAT"],
  ])("refuses a folder with %s", async (_, names, code) => {
    const error = await errorOf(() => findWeights("folder", names));
    expect(error.code).toBe(code);
    expect(error.file).toBe("folder");
  });

  test.each<[string, string[], string, string]>([
    ["a graph", ["config.json", "model.onnx"], "expected model.safetensors", join("folder", "model.onnx")],
    ["a repository of the hub's cache", ["blobs", "refs", "snapshots"], "expected", join("folder", "snapshots")],
    ["a pipeline", ["model_index.json", "unet", "vae"], "expected model.safetensors", join("folder", "unet")],
    ["settings without weights", ["config.json"], 'got "config.json"', "incomplete"],
    ["an adapter", ["adapter_config.json", "adapter_model.safetensors"], "got an adapter", "base_model_name_or_path"],
  ])("says what to do about a folder with %s", async (_, names, message, hint) => {
    const error = await errorOf(() => findWeights("folder", names));
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });
});
