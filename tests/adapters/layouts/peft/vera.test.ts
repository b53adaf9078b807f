import { describe, expect, test } from "vitest";
import { errorOf } from "../../../support/errors.ts";
import { readAdapter, type Shapes } from "./build.ts";

const SETTINGS = { peft_type: "VERA", r: 4, target_modules: ["q_proj", "v_proj"], save_projection: true };
const SHARED: Shapes = { "base_model.vera_A": [4, 8], "base_model.vera_B": [8, 4] };
const lambdas = (module: string, outputs: number, rank = 4): Shapes => ({
  [`base_model.model.${module}.vera_lambda_b`]: [outputs],
  [`base_model.model.${module}.vera_lambda_d`]: [rank],
});
const MODULES = { ...lambdas("a.q_proj", 8), ...lambdas("a.v_proj", 4) };

describe("VeRA", () => {
  test("gives every module the shared projections and its own two vectors, without a scale", () => {
    const adapter = readAdapter(SETTINGS, { ...SHARED, ...MODULES });
    expect(adapter).toMatchObject({ method: "VeRA", warnings: [], overrides: [] });
    expect(adapter.modules).toHaveLength(2);
    for (const [index, name] of ["a.q_proj", "a.v_proj"].entries()) {
      expect(adapter.modules[index]).toMatchObject({
        name,
        kind: "linear",
        rank: 4,
        scale: 1,
        delta: {
          kind: "vera",
          down: { name: "base_model.vera_A" },
          up: { name: "base_model.vera_B" },
          ranks: { name: `base_model.model.${name}.vera_lambda_d` },
          outputs: { name: `base_model.model.${name}.vera_lambda_b` },
        },
      });
    }
  });

  test("reads names that carry the adapter's", () => {
    const named = Object.entries({ ...SHARED, ...MODULES }).map(([name, shape]) => [`${name}.default`, shape]);
    expect(readAdapter(SETTINGS, Object.fromEntries(named)).modules).toHaveLength(2);
  });

  test.each([
    ["both projections", MODULES],
    ["one projection", { ...MODULES, "base_model.vera_A": [4, 8] }],
  ])("is refused without %s, whatever the settings say", async (_, tensors) => {
    for (const save_projection of [true, false]) {
      const error = await errorOf(() => readAdapter({ ...SETTINGS, save_projection }, tensors as Shapes));
      expect([error.code, error.subject]).toEqual(["UNSUPPORTED_ADAPTER", "save_projection"]);
    }
  });

  test.each([
    ["A of another rank", { "base_model.vera_A": [3, 8] }, "RANK_MISMATCH", "expected rank 4"],
    ["B of another rank", { "base_model.vera_B": [8, 5] }, "RANK_MISMATCH", "expected rank 4"],
    ["a projection that is no matrix", { "base_model.vera_B": [32] }, "ADAPTER_MISMATCH", "expected 2 dimensions"],
    ["lambda_d of another rank", lambdas("a.q_proj", 8, 3), "ADAPTER_MISMATCH", "expected 4 numbers"],
    [
      "half of a module",
      { "base_model.model.a.o_proj.vera_lambda_b": [8] },
      "ADAPTER_INCOMPLETE",
      "vera_lambda_d missing",
    ],
    ["a projection given twice", { "base_model.vera_A.default": [4, 8] }, "ADAPTER_MISMATCH", "means the same as"],
    ["a projection inside of a module", { "base_model.model.a.vera_A": [4, 8] }, "ADAPTER_MISMATCH", "is not the name"],
  ])("is refused with %s", async (_, more, code, line) => {
    const error = await errorOf(() => readAdapter(SETTINGS, { ...SHARED, ...MODULES, ...(more as Shapes) }));
    expect(error.code).toBe(code);
    expect(error.message).toContain(line);
  });
});
