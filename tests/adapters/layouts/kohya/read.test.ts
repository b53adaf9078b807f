import { describe, expect, test } from "vitest";
import { kohyaReader } from "../../../../src/adapters/layouts/kohya/read.ts";
import { errorOf } from "../../../support/errors.ts";
import { adapterFiles, type Entry } from "../build.ts";

const M = "lora_unet_mid_block_attn_to_q";
const LORA: readonly Entry[] = [
  [`${M}.lora_down.weight`, [2, 8]],
  [`${M}.lora_up.weight`, [4, 2]],
];

function read(entries: readonly Entry[]) {
  return kohyaReader.read(adapterFiles(entries));
}

describe("the scale", () => {
  test.each<[what: string, entries: readonly Entry[], alpha: number, scale: number]>([
    ["alpha / rank", [...LORA, [`${M}.alpha`, [], "f32", [1]]], 1, 0.5],
    ["an alpha of one dimension", [...LORA, [`${M}.alpha`, [1], "f32", [8]]], 8, 4],
    ["a whole alpha", [...LORA, [`${M}.alpha`, [], "i64", [6]]], 6, 3],
    ["a negative alpha", [...LORA, [`${M}.alpha`, [], "f32", [-1]]], -1, -0.5],
    ["1 without an alpha", LORA, 2, 1],
    [
      "1 of LoKr with whole factors",
      [
        [`${M}.lokr_w1`, [2, 2]],
        [`${M}.lokr_w2`, [2, 4]],
        [`${M}.alpha`, [], "f32", [9]],
      ],
      0,
      1,
    ],
    [
      "of LoKr by the rank of its product",
      [
        [`${M}.lokr_w1`, [2, 2]],
        [`${M}.lokr_w2_a`, [2, 4]],
        [`${M}.lokr_w2_b`, [4, 4]],
        [`${M}.alpha`, [], "f32", [1]],
      ],
      1,
      0.25,
    ],
  ])("is %s", (_, entries, alpha, scale) => {
    expect(read(entries).modules).toMatchObject([{ name: M, alpha, scale }]);
  });

  test("of 1 for want of an alpha is told", () => {
    expect(read(LORA).warnings).toEqual([expect.stringContaining("no alpha")]);
  });
});

test("every tensor that is no number has to be accounted for", () => {
  const { tensors } = read([...LORA, [`${M}.alpha`, []], ["lora_te_a.diff_b", [4]]]);
  expect([...tensors.keys()]).toEqual([...LORA.map(([name]) => name), "lora_te_a.diff_b"]);
});

test("is told by its names", () => {
  expect(kohyaReader.detect(adapterFiles(LORA))).toBe(true);
  expect(kohyaReader.detect(adapterFiles([["lora_unet_x", [1]]]))).toBe(false);
  expect(kohyaReader.detect(adapterFiles([["model.layers.0.q_proj.lora_A.weight", [1, 1]]]))).toBe(false);
});

describe("refuses", () => {
  const W1 = [
    ["lora_te_a.hada_w1_a", [4, 2]],
    ["lora_te_a.hada_w1_b", [2, 6]],
  ] as const;
  const W2 = [
    ["lora_te_a.hada_w2_a", [4, 2]],
    ["lora_te_a.hada_w2_b", [2, 6]],
  ] as const;
  test.each<[what: string, entries: readonly Entry[], code: string, message: RegExp]>([
    ["down alone", LORA.slice(0, 1), "ADAPTER_INCOMPLETE", /lora_up/],
    ["alpha alone", [[`${M}.alpha`, []]], "ADAPTER_INCOMPLETE", /factors/],
    ["an alpha of 0", [...LORA, [`${M}.alpha`, [], "f32", [0]]], "ADAPTER_MISMATCH", /alpha is 0/],
    ["an alpha that is no number", [...LORA, [`${M}.alpha`, [], "f32", [Number.NaN]]], "ADAPTER_MISMATCH", /finite/],
    ["an alpha of two numbers", [...LORA, [`${M}.alpha`, [2]]], "ADAPTER_MISMATCH", /one number/],
    ["an alpha of no number", [...LORA, [`${M}.alpha`, [0]]], "ADAPTER_MISMATCH", /one number/],
    [
      "ranks that differ",
      [
        [`${M}.lora_down.weight`, [3, 8]],
        [`${M}.lora_up.weight`, [4, 2]],
      ],
      "ADAPTER_MISMATCH",
      /\[4, 3\]/,
    ],
    [
      "a kernel in lora_up",
      [
        [`${M}.lora_down.weight`, [2, 8, 3, 3]],
        [`${M}.lora_up.weight`, [4, 2, 3, 3]],
      ],
      "ADAPTER_MISMATCH",
      /\[4, 2, 1, 1\]/,
    ],
    ["a core of another rank", [...LORA, [`${M}.lora_mid.weight`, [3, 3, 3, 3]]], "ADAPTER_MISMATCH", /\[2, 2, 3, 3\]/],
    ["magnitudes of neither side", [...LORA, [`${M}.dora_scale`, [5, 1]]], "ADAPTER_MISMATCH", /4 outputs or 8 inputs/],
    ["two algorithms in one module", [...LORA, [`${M}.diff`, [4, 8]]], "ADAPTER_MISMATCH", /one algorithm/],
    ["LoHa with one half", W1, "ADAPTER_INCOMPLETE", /hada_w2/],
    ["LoHa with one core", [...W1, ...W2, ["lora_te_a.hada_t1", [2, 2, 3, 3]]], "ADAPTER_INCOMPLETE", /cores/],
    ["DoRA on LoHa", [...W1, ...W2, ["lora_te_a.dora_scale", [4, 1]]], "ADAPTER_MISMATCH", /dora_scale beside LoHa/],
    [
      "LoKr whole and in factors",
      [
        ["lora_te_a.lokr_w1", [2, 2]],
        ["lora_te_a.lokr_w1_a", [2, 2]],
        ["lora_te_a.lokr_w2", [2, 2]],
      ],
      "ADAPTER_INCOMPLETE",
      /lokr_w1/,
    ],
    ["IA3 without its side", [["lora_te_a.weight", [4]]], "ADAPTER_INCOMPLETE", /on_input/],
    ["an unknown factor", [...LORA, [`${M}.magic`, [1]]], "ADAPTER_MISMATCH", /magic/],
    ["a foreign tensor", [...LORA, ["optimizer.state", [1]]], "ADAPTER_MISMATCH", /optimizer/],
    ["GLoRA", [[`${M}.a1.weight`, [2, 2]]], "UNSUPPORTED_ADAPTER", /GLoRA/],
    ["BOFT", [[`${M}.oft_blocks`, [2, 2, 4, 4]]], "ADAPTER_MISMATCH", /BOFT/],
    [
      "factors of integers",
      [
        [`${M}.lora_down.weight`, [2, 8], "i8"],
        [`${M}.lora_up.weight`, [4, 2]],
      ],
      "UNSUPPORTED_DTYPE",
      /i8/,
    ],
    [
      "factors of no size",
      [
        [`${M}.lora_down.weight`, [2, 0]],
        [`${M}.lora_up.weight`, [4, 2]],
      ],
      "ADAPTER_MISMATCH",
      /none of them 0/,
    ],
  ])("%s", async (_, entries, code, message) => {
    const error = await errorOf(() => read(entries));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});
