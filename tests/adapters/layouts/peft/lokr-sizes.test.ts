import { describe, expect, test } from "vitest";
import { lokrSizes } from "../../../../src/adapters/layouts/peft/lokr-sizes.ts";
import type { LokrModule } from "../../../../src/adapters/layouts/peft/written-lycoris.ts";
import type { TensorData } from "../../../../src/formats/tensor-store.ts";
import { errorOf } from "../../../support/errors.ts";

function tensor(...shape: number[]): TensorData {
  return { name: "factor", dtype: "f32", shape, byteLength: 0, source: { kind: "memory", bytes: new Uint8Array() } };
}

function lokr(name: string, rank: number, delta: Omit<LokrModule["delta"], "kind">): LokrModule {
  return { name, kind: "linear", delta: { kind: "lokr", ...delta }, rank, alpha: rank, scale: 1 };
}

describe("sizes of LoKr for PEFT", () => {
  test("that lie near the roots of a layer's sizes need no factor", () => {
    // 8 → 2 · 4, 64 → 8 · 8
    const { settings } = lokrSizes([lokr("layer", 1, { w1: [tensor(2, 8)], w2: [tensor(4, 1), tensor(1, 8)] })]);
    expect(settings.get("decompose_factor")).toBe(-1);
    expect(settings.get("decompose_both")).toBe(false);
  });

  test("of one factor for all layers are found, also where it does not divide a size", () => {
    const modules = [
      lokr("divides", 2, { w1: [tensor(4, 4)], w2: [tensor(16, 2), tensor(2, 32)] }),
      // 6 has no divisor 4: the largest up to it and to the root is 2
      lokr("does-not", 2, { w1: [tensor(2, 4)], w2: [tensor(3, 2), tensor(2, 16)] }),
    ];
    expect(lokrSizes(modules).settings.get("decompose_factor")).toBe(4);
  });

  test("of two whole matrices get the least rank that keeps both whole", () => {
    const [whole, product] = [
      lokr("whole", 0, { w1: [tensor(4, 4)], w2: [tensor(6, 8)] }),
      lokr("product", 1, { w1: [tensor(4, 1), tensor(1, 4)], w2: [tensor(6, 1), tensor(1, 8)] }),
    ];
    const { ranks, settings } = lokrSizes([whole, product]);
    expect([ranks.get(whole), ranks.get(product)]).toEqual([4, 1]);
    expect(settings.get("decompose_both")).toBe(true);
  });

  test.each([
    [
      "a layer cut by another factor",
      lokr("layer", 1, { w1: [tensor(2, 2)], w2: [tensor(4, 1), tensor(1, 32)] }),
      "decompose_factor",
    ],
    [
      "a product of a high rank",
      lokr("layer", 4, { w1: [tensor(4, 4)], w2: [tensor(4, 4), tensor(4, 4)] }),
      "lokr_w2 of rank 4 whole",
    ],
  ])("are refused for %s", async (_, module, reason) => {
    const other = lokr("other", 1, { w1: [tensor(4, 4)], w2: [tensor(16, 1), tensor(1, 16)] });
    const error = await errorOf(() => lokrSizes([module, other]));
    expect(error).toMatchObject({ code: "UNSUPPORTED_ADAPTER", subject: "layer" });
    expect(error.message).toContain(reason);
  });
});
