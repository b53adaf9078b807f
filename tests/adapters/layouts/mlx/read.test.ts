import { describe, expect, test } from "vitest";
import { mlxReader } from "../../../../src/adapters/layouts/mlx/read.ts";
import { errorOf } from "../../../support/errors.ts";
import { adapterFiles, type Entry } from "../build.ts";

const SETTINGS = { fine_tune_type: "lora", lora_parameters: { rank: 2, scale: 20.0 } };
const Q = "model.layers.0.self_attn.q_proj";
const LINEAR: readonly Entry[] = [
  [`${Q}.lora_a`, [8, 2]],
  [`${Q}.lora_b`, [2, 4]],
];

function files(entries: readonly Entry[], settings: object | undefined = SETTINGS) {
  return adapterFiles(entries, settings === undefined ? {} : { settings: JSON.stringify(settings) });
}

test("the scale is final and alpha is what gives it", () => {
  const { modules, method } = mlxReader.read(files(LINEAR));
  expect(method).toBe("LoRA");
  expect(modules).toMatchObject([
    { name: Q, kind: "linear", rank: 2, alpha: 40, scale: 20, delta: { transposed: "both" } },
  ]);
});

test("settings without fine_tune_type are LoRA", () => {
  expect(mlxReader.read(files(LINEAR, { lora_parameters: { rank: 2, scale: 1 } })).method).toBe("LoRA");
});

test("use_dora is DoRA in settings from before fine_tune_type", () => {
  const settings = { lora_layers: 8, use_dora: true, lora_parameters: { rank: 2, scale: 1 } };
  expect(mlxReader.read(files([...LINEAR, [`${Q}.m`, [4]]], settings)).method).toBe("DoRA");
});

test.each([
  ["counts in settings from before fine_tune_type: scale · alpha / rank", { lora_layers: 8 }, 40],
  ["is ignored since", { fine_tune_type: "lora" }, 10],
])("an alpha %s", (_, more, scale) => {
  const settings = { ...more, lora_parameters: { rank: 2, alpha: 8, scale: 10 } };
  const { modules, warnings } = mlxReader.read(files(LINEAR, settings));
  expect(modules).toMatchObject([{ scale }]);
  expect(warnings).toEqual([expect.stringContaining("lora_parameters has scale 10 and alpha 8")]);
});

test("an alpha that is the rank says nothing", () => {
  const { modules, warnings } = mlxReader.read(files(LINEAR, { lora_parameters: { rank: 2, alpha: 2, scale: 10 } }));
  expect([modules[0]?.scale, warnings]).toEqual([10, []]);
});

test("stacked experts become one module for each, where their factors lie", () => {
  const entries: readonly Entry[] = [
    ["model.layers.0.mlp.switch_mlp.up_proj.lora_a", [3, 2, 8]],
    ["model.layers.0.mlp.switch_mlp.up_proj.lora_b", [3, 6, 2]],
  ];
  const { modules } = mlxReader.read(files(entries));
  expect(modules.map(({ name }) => name)).toEqual([0, 1, 2].map((e) => `model.layers.0.mlp.experts.${e}.up_proj`));
  for (const { delta } of modules) {
    expect(delta).toMatchObject({ down: { shape: [2, 8], byteLength: 64 }, up: { shape: [6, 2], byteLength: 48 } });
  }
});

describe("is told by", () => {
  test.each([
    ["its settings", files([["x", [1]]]), true],
    ["its names where there are no settings", adapterFiles(LINEAR), true],
    ["settings of PEFT", files(LINEAR, { peft_type: "LORA", lora_parameters: {} }), false],
    ["names of GGUF", adapterFiles([["blk.0.attn_q.weight.lora_a", [2, 8]]]), false],
  ])("%s", (_, given, expected) => {
    expect(mlxReader.detect(given)).toBe(expected);
  });
});

describe("refuses", () => {
  test.each<[what: string, entries: readonly Entry[], settings: object, code: string, message: RegExp]>([
    ["a type that it does not know", LINEAR, { ...SETTINGS, fine_tune_type: "qlora" }, "INVALID_CONFIG", /qlora/],
    ["settings without a rank", LINEAR, { lora_parameters: { scale: 1 } }, "INVALID_CONFIG", /rank/],
    ["settings without a scale", LINEAR, { lora_parameters: { rank: 2 } }, "INVALID_CONFIG", /scale/],
    ["a scale beyond f32", LINEAR, { lora_parameters: { rank: 2, scale: 1e300 } }, "INVALID_CONFIG", /scale/],
    ["lora_parameters that are a list", LINEAR, { ...SETTINGS, lora_parameters: [] }, "INVALID_CONFIG", /object/],
    ["one factor alone", LINEAR.slice(0, 1), SETTINGS, "ADAPTER_INCOMPLETE", /lora_a/],
    ["DoRA without magnitudes", LINEAR, { ...SETTINGS, fine_tune_type: "dora" }, "ADAPTER_INCOMPLETE", /and m/],
    ["magnitudes of plain LoRA", [...LINEAR, [`${Q}.m`, [4]]], SETTINGS, "ADAPTER_INCOMPLETE", /lora_a/],
    [
      "another rank than that of the settings",
      LINEAR,
      { lora_parameters: { rank: 3, scale: 1 } },
      "ADAPTER_MISMATCH",
      /3/,
    ],
    ["an unknown name", [...LINEAR, ["optimizer.step", [1]]], SETTINGS, "ADAPTER_MISMATCH", /optimizer/],
    [
      "a dimension of 0",
      [
        [`${Q}.lora_a`, [0, 2]],
        [`${Q}.lora_b`, [2, 4]],
      ],
      SETTINGS,
      "ADAPTER_MISMATCH",
      /none of them 0/,
    ],
    [
      "experts outside of switch_mlp",
      [
        ["x.lora_a", [3, 2, 8]],
        ["x.lora_b", [3, 6, 2]],
      ],
      SETTINGS,
      "ADAPTER_MISMATCH",
      /switch_mlp/,
    ],
    [
      "factors of integers",
      [
        [`${Q}.lora_a`, [8, 2], "u8"],
        [`${Q}.lora_b`, [2, 4]],
      ],
      SETTINGS,
      "UNSUPPORTED_DTYPE",
      /u8/,
    ],
    ["no tensors", [], SETTINGS, "INVALID_MODEL", /no tensors/],
  ])("%s", async (_, entries, settings, code, message) => {
    const error = await errorOf(() => mlxReader.read(files(entries, settings)));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });

  test("weights without settings", async () => {
    expect((await errorOf(() => mlxReader.read(adapterFiles(LINEAR)))).code).toBe("FILE_NOT_FOUND");
  });
});
