/** Which tensors of a store a description takes, and what is said where they do not fit. */

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Model } from "../../src/formats/model.ts";
import { openModel } from "../../src/formats/open-model.ts";
import type { TensorData } from "../../src/formats/tensor-store.ts";
import { bindWeights, type WeightLookup } from "../../src/models/bind-weights.ts";
import { describeModel } from "../../src/models/describe-model.ts";
import { errorOf } from "../support/errors.ts";

const MODELS = join(import.meta.dirname, "../../fixtures/models");

type Edit = (tensors: Map<string, TensorData>) => void;

async function bind(fixture: string, edit: Edit = () => undefined): Promise<WeightLookup> {
  const { config, path, store }: Model = await openModel(join(MODELS, fixture));
  const tensors = new Map(store.tensors);
  edit(tensors);
  return bindWeights(describeModel(config ?? new Map(), path), { ...store, tensors });
}

const renamed =
  (rename: (name: string) => string): Edit =>
  (tensors) => {
    const all = [...tensors.values()];
    tensors.clear();
    for (const tensor of all) tensors.set(rename(tensor.name), { ...tensor, name: rename(tensor.name) });
  };

function numbers(name: string, shape: readonly number[], value = 0): TensorData {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value);
  const bytes = new Uint8Array(data.buffer);
  return { name, dtype: "f32", shape, byteLength: bytes.length, source: { kind: "memory", bytes } };
}

describe("weights that fit", () => {
  it("are found without the prefix of the model inside", async () => {
    const lookup = await bind(
      "llama-linear",
      renamed((name) => name.replace(/^model\./, "")),
    );
    expect(lookup("model.layers.0.mlp.up_proj.weight").name).toBe("layers.0.mlp.up_proj.weight");
    expect(lookup("lm_head.weight").name).toBe("lm_head.weight");
  });

  it("are found where a model of text and images keeps them, in files of either version", async () => {
    const path = "model.language_model.layers.0.mlp.up_proj.weight";
    const newer = await bind("gemma3-images");
    const older = await bind(
      "gemma3-images",
      renamed((name) => name.replace(/^model\.language_model\./, "language_model.model.").replace(/^model\./, "")),
    );
    expect([newer(path).name, older(path).name]).toContain("language_model.model.layers.0.mlp.up_proj.weight");
    expect(newer(path).shape).toEqual(older(path).shape);
  });

  it("include a head under the name that it has at run time", async () => {
    const lookup = await bind(
      "gpt-neox",
      renamed((name) => name.replace("embed_out", "lm_head")),
    );
    expect(lookup("embed_out.weight").name).toBe("lm_head.weight");
  });

  it("leave out buffers that older versions stored", async () => {
    const lookup = await bind("gpt2", (tensors) => {
      for (const name of ["transformer.h.0.attn.bias", "transformer.h.0.attn.masked_bias"]) {
        tensors.set(name, numbers(name, [1]));
      }
    });
    expect(lookup("transformer.wte.weight").shape).toEqual([40, 16]);
  });

  it("are one tensor at both ends of a tied model", async () => {
    const lookup = await bind("llama-v4");
    expect(lookup("lm_head.weight")).toBe(lookup("model.embed_tokens.weight"));
  });

  it("are two where a tied model stores other numbers for its head", async () => {
    const head = numbers("lm_head.weight", [40, 16], 1);
    const other = await bind("llama-v4", (tensors) => tensors.set(head.name, head));
    expect(other("lm_head.weight")).toBe(head);
    const same = await bind("llama-v4", (tensors) => {
      const table = tensors.get("model.embed_tokens.weight");
      if (table !== undefined) tensors.set(head.name, { ...table, name: head.name });
    });
    expect(same("lm_head.weight")).toBe(same("model.embed_tokens.weight"));
  });
});

describe("weights that do not fit", () => {
  it("are listed all at once: missing, misshapen, of no float dtype, unused", async () => {
    const error = await errorOf(() =>
      bind("llama", (tensors) => {
        const norm = tensors.get("model.norm.weight");
        tensors.delete("lm_head.weight");
        tensors.delete("model.layers.1.mlp.up_proj.bias");
        tensors.set(
          "model.layers.0.self_attn.q_proj.weight",
          numbers("model.layers.0.self_attn.q_proj.weight", [16, 8]),
        );
        if (norm !== undefined) tensors.set(norm.name, { ...norm, dtype: "i32" });
        tensors.set("model.layers.2.mlp.up_proj.weight", numbers("model.layers.2.mlp.up_proj.weight", [24, 16]));
      }),
    );
    expect(error).toMatchObject({ code: "MODEL_MISMATCH", file: join(MODELS, "llama") });
    expect((error as { problems?: readonly string[] }).problems?.toSorted()).toEqual([
      '"lm_head.weight": is missing',
      '"model.layers.0.self_attn.q_proj.weight": expected shape [16, 16], got [16, 8]',
      '"model.layers.1.mlp.up_proj.bias": is missing',
      '"model.layers.2.mlp.up_proj.weight": is no tensor of this model',
      '"model.norm.weight": expected a float dtype, got i32',
    ]);
  });

  it("are refused when Linear and Conv1D are mixed up", async () => {
    const error = await errorOf(() =>
      bind("gpt2", (tensors) => {
        tensors.set("transformer.h.0.attn.c_attn.weight", numbers("transformer.h.0.attn.c_attn.weight", [48, 16]));
      }),
    );
    expect(error.message).toContain("expected shape [16, 48], got [48, 16]");
  });
});
