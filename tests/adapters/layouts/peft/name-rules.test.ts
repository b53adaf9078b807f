import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  layerIndex,
  nameSet,
  patternCompiler,
  patternTable,
  savedModules,
} from "../../../../src/adapters/layouts/peft/name-rules.ts";
import { compilePattern } from "../../../../src/adapters/pattern/pattern.ts";

const compiler = patternCompiler("adapter_config.json");

describe("patternTable", () => {
  const find = (entries: Record<string, number>, name: string) =>
    patternTable(new Map(Object.entries(entries)), "rank_pattern", compiler).find(name);

  test.each([
    [{ q_proj: 2 }, "model.layers.0.self_attn.q_proj", 2],
    [{ proj: 2 }, "model.layers.0.self_attn.q_proj", undefined],
    [{ "0.self_attn.q_proj": 2 }, "model.layers.10.self_attn.q_proj", undefined],
    [{ "0.self_attn.q_proj": 2 }, "model.layers.0.self_attn.q_proj", 2],
    [{ "q.proj": 2 }, "layers.q_proj", 2],
    [{ "q\\.proj": 2 }, "layers.q_proj", undefined],
    [{ "^layers.q_proj": 2 }, "model.layers.q_proj", undefined],
    [{ "k_proj|q_proj": 2 }, "layers.q_proj", 2],
    [{ self_attn: 2 }, "layers.0.self_attn.q_proj", undefined],
    [{ q_proj: 2, "layers.q_proj": 3 }, "layers.q_proj", 2],
    [{ "layers.q_proj": 3, q_proj: 2 }, "layers.q_proj", 3],
    [{ "experts.gate_up_proj": 5 }, "model.mlp.experts.gate_up_proj", 5],
    [{ q_proj: 2 }, "layers.q_proj\n", 2],
    [{ "a.b": 2 }, "a\nb", undefined],
  ])("with %j gives %j the value %j", (entries, name, value) => {
    expect(find(entries, name)).toBe(value);
  });

  test("decides for simple keys as the regular expression does", () => {
    const names = fc.string({ unit: fc.constantFrom(..."ab_0.-"), maxLength: 8 });
    const keys = fc
      .array(fc.constantFrom("a", "b", "_", "0", ".", "-", "\\."), { minLength: 1, maxLength: 6 })
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(keys, names, (key, name) => {
        const pattern = compilePattern(`(.*\\.)?(${key})$`, { remaining: 1e6 });
        expect(find({ [key]: 1 }, name) === 1).toBe(pattern.match(name) !== undefined);
      }),
      { seed: 7, numRuns: 2_000 },
    );
  });

  test("knows which patterns hit nothing and where their order matters", () => {
    const table = patternTable(
      new Map([
        ["q_proj", 2],
        ["layers.q_proj", 3],
        ["v_proj", 2],
      ]),
      "alpha_pattern",
      compiler,
    );
    expect(table.unused(["layers.q_proj", "o_proj"])).toEqual(["v_proj"]);
    expect(table.isContested("layers.q_proj")).toBe(true);
    expect(table.isContested("q_proj")).toBe(false);
    expect(table.isContested("o_proj")).toBe(false);
  });

  test("finds its way through thousands of keys, as EVA writes them", () => {
    const names = Array.from({ length: 3_000 }, (_, index) => `model.layers.${index}.self_attn.q_proj`);
    const table = patternTable(new Map(names.map((name, index) => [name, index])), "rank_pattern", patternCompiler(""));
    expect(names.map((name) => table.find(name))).toEqual(names.map((_, index) => index));
  });
});

describe("nameSet", () => {
  test.each([
    [["q_proj"], "q_proj", true],
    [["q_proj"], "layers.0.q_proj", true],
    [["attn.q_proj"], "layers.attn.q_proj", true],
    [["_proj"], "q_proj", false],
    [["layers"], "layers.0", false],
    ["q_proj", "layers.q_proj", false],
    [".*q_proj", "layers.q_proj", true],
    [".*\\.(q|v)_proj", "layers.v_proj", true],
    ["(?i).*Q_PROJ", "layers.q_proj", true],
  ])("of %j has %j: %j", (names, name, result) => {
    expect(nameSet(names, "target_modules", compiler)(name)).toBe(result);
  });
});

describe("savedModules", () => {
  test.each([
    [["score"], "score", true],
    [["score"], "model.score", true],
    [["score"], "model.score.dense", true],
    [["score"], "model.scores", false],
    [["score"], "underscore", false],
    [[], "score", false],
  ])("of %j has %j: %j", (names, name, result) => {
    expect(savedModules(names, compiler)(name)).toBe(result);
  });
});

describe("layerIndex", () => {
  test.each([
    [[], "model.layers.3.mlp.experts.7.w1", 3],
    [[], "layers.3.w1", undefined],
    [[], "lm_head", undefined],
    [["layers"], "layers.3.w1", 3],
    [["experts"], "model.layers.3.mlp.experts.7.w1", 7],
    [["h", "layers"], "model.layers.12.w1", 12],
    [["h"], "model.layers.12.w1", undefined],
  ])("with patterns %j finds %j in layer %j", (patterns, name, index) => {
    expect(layerIndex(patterns, compiler)(name)).toBe(index);
  });
});
