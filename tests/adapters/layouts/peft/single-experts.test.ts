import { describe, expect, test } from "vitest";
import type { AdapterModule } from "../../../../src/adapters/adapter.ts";
import { assertStackedByPeft } from "../../../../src/adapters/layouts/peft/single-experts.ts";
import type { TensorData } from "../../../../src/formats/tensor-store.ts";
import { errorOf } from "../../../support/errors.ts";

const factor: TensorData = {
  name: "factor",
  dtype: "f32",
  shape: [2, 2],
  byteLength: 16,
  source: { kind: "memory", bytes: new Uint8Array(16) },
};

function expert(layer: string, more: Partial<AdapterModule> = {}): AdapterModule {
  const name = `model.layers.0.mlp.experts.0.${layer}`;
  const delta = { kind: "lora" as const, down: factor, up: factor };
  return { name, kind: "linear", delta, rank: 2, alpha: 4, scale: 2, ...more };
}

const all = ["gate_proj", "up_proj", "down_proj"].map((layer) => expert(layer));
const qwen = new Map([["model_type", "qwen3_moe"]]);

describe("single experts for PEFT", () => {
  test("pass where PEFT stacks those of the model", () => {
    expect(() => assertStackedByPeft(all, qwen)).not.toThrow();
  });

  test("are no matter where there are none", () => {
    expect(() =>
      assertStackedByPeft([expert("gate_proj", { name: "model.layers.0.mlp.gate_proj" })], undefined),
    ).not.toThrow();
  });

  test.each([
    ["an unknown base", all, undefined, "depends on the base"],
    ["a model that PEFT does not stack", all, new Map([["model_type", "granitemoe"]]), "would leave them out"],
    ["a gate without its up", [expert("gate_proj")], qwen, "expected up_proj beside it"],
    ["another scale", [...all, expert("down_proj", { scale: 1 })], qwen, "expected rank 2 and scale 2, got 2 and 1"],
  ])("are refused by name for %s", async (_, modules, config, reason) => {
    const error = await errorOf(() => assertStackedByPeft(modules, config));
    expect(error).toMatchObject({ code: "UNSUPPORTED_ADAPTER", subject: expect.stringMatching(/experts\.0\./) });
    expect(error.message).toContain(reason);
  });
});
