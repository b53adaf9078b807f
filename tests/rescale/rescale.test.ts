import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ulpsBetween } from "../../src/adapters/alpha.ts";
import { openAdapter } from "../../src/adapters/open-adapter.ts";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import { rescale } from "../../src/rescale/rescale.ts";
import { pair, Q, type SmallTensors, V, writeAdapter } from "../merge/small-model.ts";
import { errorOf } from "../support/errors.ts";
import { numbersOf } from "../support/read-tensor.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const config = (folder: string) => readFileSync(join(folder, "adapter_config.json"), "utf8");
const weights = (folder: string) => readFileSync(join(folder, "adapter_model.safetensors"));

function factors(name: string, rank: number): SmallTensors {
  return {
    [`base_model.model.${name}.lora_A.weight`]: { shape: [rank, 8] },
    [`base_model.model.${name}.lora_B.weight`]: { shape: [6, rank] },
  };
}

/** Three layers of q_proj and v_proj; a rank for each, by patterns. */
const NAMES = [0, 1, 2].flatMap((layer) =>
  ["q_proj", "v_proj"].map((name) => `model.layers.${layer}.self_attn.${name}`),
);

test("whatever ranks, alphas and patterns: scales stay, weights stay, and the way back ends where it began", async () => {
  const rank = fc.integer({ min: 1, max: 9 });
  const alpha = fc.oneof(
    fc.integer({ min: 1, max: 64 }),
    fc.integer({ min: 1, max: 999 }).map((n) => n / 8),
  );
  const key = fc.constantFrom(
    "q_proj",
    "v_proj",
    "layers.1.self_attn.q_proj",
    "model.layers.2.*",
    "[01].self_attn.v_proj",
  );
  const settings = fc.record({
    r: rank,
    lora_alpha: alpha,
    alpha_pattern: fc.dictionary(key, alpha, { maxKeys: 3 }),
    use_rslora: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(settings, fc.array(rank, { minLength: 6, maxLength: 6 }), async (chosen, ranks) => {
      const folder = temporaryFolder();
      const tensors = Object.assign({}, ...NAMES.map((name, index) => factors(name, ranks[index] ?? 1)));
      const rank_pattern = Object.fromEntries(NAMES.map((name, index) => [name, ranks[index]]));
      const adapter = writeAdapter(folder, tensors, { ...chosen, rank_pattern });
      const before = await openAdapter(adapter);
      const [to, from] = chosen.use_rslora ? (["lora", "rslora"] as const) : (["rslora", "lora"] as const);

      const there = join(folder, "there");
      await rescale({ adapter, to, out: there });
      const after = await openAdapter(there);
      expect(after.convention).toBe(to);
      expect(weights(there).equals(weights(adapter))).toBe(true);
      for (const [index, { scale, name }] of after.modules.entries()) {
        expect(ulpsBetween(scale, before.modules[index]?.scale ?? Number.NaN), name).toBeLessThanOrEqual(1);
      }
      const back = join(folder, "back");
      await rescale({ adapter: there, to: from, out: back });
      const returned = await openAdapter(back);
      expect(returned.modules.map((module) => module.alpha)).toEqual(before.modules.map((module) => module.alpha));
      expect(JSON.parse(config(back)).lora_alpha).toBe(chosen.lora_alpha);

      const again = join(folder, "again");
      await rescale({ adapter: back, to, out: again });
      expect(JSON.parse(config(again)).alpha_pattern).toEqual(JSON.parse(config(there)).alpha_pattern);
    }),
    { numRuns: 40 },
  );
});

describe("without folding", () => {
  test("only the numbers change in the file: every other byte stays", async () => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder);
    const text = '{ "peft_type":"LORA",\t"r": 2, "lora_alpha":4.0, "use_rslora" :false,\r\n "x": null }';
    writeFileSync(join(adapter, "adapter_config.json"), text);
    await rescale({ adapter, to: "rslora", out: join(folder, "out") });
    expect(config(join(folder, "out"))).toBe(text.replace("4.0", String(2 * Math.SQRT2)).replace("false", "true"));
  });

  test("a module of another rank gets its full name, anchored and escaped", async () => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder, { ...factors(Q, 4), ...factors(V, 2) }, { rank_pattern: { q_proj: 4 } });
    const report = await rescale({ adapter, to: "rslora", out: join(folder, "out") });
    const { lora_alpha, alpha_pattern } = JSON.parse(config(join(folder, "out")));
    expect([lora_alpha, alpha_pattern]).toEqual([2 * Math.SQRT2, { "^model\\.layers\\.0\\.self_attn\\.q_proj$": 2 }]);
    expect(report.modules).toContainEqual({
      name: Q,
      kind: "linear",
      rank: 4,
      rankAfter: 4,
      alphaBefore: 4,
      alphaAfter: 2,
      scaleBefore: 1,
      scaleAfter: 1,
      factor: 1,
      exact: true,
    });
  });

  test("the convention that it has already changes nothing at all", async () => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder, undefined, { alpha_pattern: { q_proj: 1, proj: 2, nothing: 3 } });
    await rescale({ adapter, to: "lora", out: join(folder, "out") });
    expect(config(join(folder, "out"))).toBe(config(adapter));
    expect(weights(join(folder, "out")).equals(weights(adapter))).toBe(true);
  });

  test("the files that travel with an adapter are copied, and what stays is named", async () => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder);
    for (const name of ["README.md", "tokenizer.json", "chat_template.jinja", "optimizer.pt"]) {
      writeFileSync(join(adapter, name), name);
    }
    const { warnings } = await rescale({ adapter, to: "rslora", out: join(folder, "out") });
    expect(readdirSync(join(folder, "out")).sort()).toEqual([
      "README.md",
      "adapter_config.json",
      "adapter_model.safetensors",
      "chat_template.jinja",
      "tokenizer.json",
    ]);
    expect(warnings.join()).toMatch(/not carried over: optimizer\.pt/);
  });
});

describe("with folding", () => {
  const value = (name: string, folder: string) => {
    const tensor = openSafetensors(join(folder, "adapter_model.safetensors")).tensors.get(name);
    if (tensor === undefined) throw new Error(name);
    return { shape: tensor.shape, numbers: [...numbersOf(tensor)] };
  };
  const up = (name: string) => `base_model.model.${name}.lora_B.weight`;
  const down = (name: string) => `base_model.model.${name}.lora_A.weight`;

  test.each([
    ["lora", [2, 4]],
    ["rslora", [Math.SQRT2, 2]],
  ] as const)("bake under %s leaves scale 1 and multiplies lora_B", async (to, [v, q]) => {
    const folder = temporaryFolder();
    const tensors = { ...factors(Q, 4), ...factors(V, 2) };
    const adapter = writeAdapter(folder, tensors, { rank_pattern: { q_proj: 4 }, lora_alpha: 6 });
    const out = join(folder, "out");
    const { modules, result } = await rescale({ adapter, to, bake: true, out });
    expect(modules.map(({ alphaAfter, scaleAfter, factor, exact }) => [alphaAfter, scaleAfter, factor, exact])).toEqual(
      [
        [q, 1, 1.5, true],
        [v, 1, 3, true],
      ],
    );
    expect(result).toMatchObject({ elements: 36, rounded: 0, largestError: 0 });
    expect(value(up(V), out).numbers).toEqual(value(up(V), adapter).numbers.map((number) => number * 3));
    expect(value(down(V), out)).toEqual(value(down(V), adapter));
  });

  test("flatten pads to one rank with zeros, and no pattern is left", async () => {
    const folder = temporaryFolder();
    const tensors = { ...factors(Q, 4), ...factors(V, 2) };
    const adapter = writeAdapter(folder, tensors, { rank_pattern: { q_proj: 4 } });
    const out = join(folder, "out");
    await rescale({ adapter, to: "lora", bake: true, flatten: true, out });
    expect(JSON.parse(config(out))).toMatchObject({ r: 4, lora_alpha: 4, rank_pattern: {} });
    const rows = value(down(V), adapter).numbers;
    expect(value(down(V), out)).toEqual({ shape: [4, 8], numbers: [...rows, ...Array(16).fill(0)] });
    const columns = value(up(V), adapter).numbers.map((number) => number * 2);
    const padded = [0, 1, 2, 3, 4, 5].flatMap((row) => [...columns.slice(2 * row, 2 * row + 2), 0, 0]);
    expect(value(up(V), out)).toEqual({ shape: [6, 4], numbers: padded });
  });

  test("the bias of lora_B is folded too, the DoRA magnitude is not", async () => {
    const folder = temporaryFolder();
    const magnitude = `base_model.model.${Q}.lora_magnitude_vector`;
    const bias = `base_model.model.${Q}.lora_B.bias`;
    const tensors = { ...pair(Q), [bias]: { shape: [6] }, [magnitude]: { shape: [6] } };
    const adapter = writeAdapter(folder, tensors, { use_dora: true, lora_bias: true, lora_alpha: 3 });
    const out = join(folder, "out");
    await rescale({ adapter, to: "lora", bake: true, out });
    expect(value(bias, out).numbers).toEqual(value(bias, adapter).numbers.map((number) => number * 1.5));
    expect(value(magnitude, out)).toEqual(value(magnitude, adapter));
  });

  test("alpha gives every module that alpha and folds the remainder", async () => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder, undefined, { alpha_pattern: { q_proj: 16 } });
    const out = join(folder, "out");
    const { modules } = await rescale({ adapter, to: "lora", alpha: 8, out });
    expect(JSON.parse(config(out))).toMatchObject({ lora_alpha: 8, alpha_pattern: {} });
    expect(modules.map(({ alphaAfter, factor }) => [alphaAfter, factor])).toEqual([
      [8, 2],
      [8, 0.5],
    ]);
  });

  test("an alpha that is there already leaves the weights alone", async () => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder);
    const out = join(folder, "out");
    expect((await rescale({ adapter, to: "lora", alpha: 4, out })).weights).toBe("same");
    expect(weights(out).equals(weights(adapter))).toBe(true);
  });

  test("what rounds is counted, in the dtype of each tensor", async () => {
    const folder = temporaryFolder();
    const tensors = {
      [down(Q)]: { shape: [2, 8] },
      [up(Q)]: { shape: [2, 2], dtype: "bf16" as const, value: (index: number) => [1, 129 / 128, 0, -2][index] ?? 0 },
    };
    const adapter = writeAdapter(folder, tensors, { lora_alpha: 3 });
    const out = join(folder, "out");
    const { modules, result } = await rescale({ adapter, to: "lora", bake: true, out });
    expect(modules.map(({ exact }) => exact)).toEqual([false]);
    // 1.5 · 129/128 = 387/256 lies between 386/256 and 388/256; the even one is 388/256.
    expect(value(up(Q), out).numbers).toEqual([1.5, 388 / 256, 0, -3]);
    expect(result).toMatchObject({ elements: 4, rounded: 1, largestError: expect.closeTo(1 / 387, 8) });
  });

  test("a product that overflows its dtype is an error", async () => {
    const folder = temporaryFolder();
    const tensors = {
      [down(Q)]: { shape: [2, 8] },
      [up(Q)]: { shape: [2, 2], dtype: "f16" as const, value: () => 60000 },
    };
    const adapter = writeAdapter(folder, tensors);
    const error = await errorOf(() => rescale({ adapter, to: "lora", bake: true, out: join(folder, "out") }));
    expect([error.code, error.subject]).toEqual(["NON_FINITE", up(Q)]);
    expect(readdirSync(folder)).toEqual(["adapter"]);
  });
});

describe("refuses, and writes nothing", () => {
  test.each([
    [{ bake: true, alpha: 2 }, /exclude each other/],
    [{ flatten: true }, /needs bake or alpha/],
    [{ alpha: 0 }, /above 0/],
    [{ alpha: Number.NaN }, /above 0/],
    [{ to: "both" as "lora" }, /to.*expected one of lora, rslora/],
    [{ out: "x.safetensors" }, /folder/],
  ])("%j", async (wish, message) => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder);
    const error = await errorOf(() => rescale({ adapter, to: "lora", out: join(folder, "out"), ...wish }));
    expect([error.code, error.message]).toEqual(["INVALID_OPTION", expect.stringMatching(message)]);
    expect(readdirSync(folder)).toEqual(["adapter"]);
  });

  test.each([
    ["a rank that contradicts the weights", { r: 4 }, "RANK_MISMATCH"],
    ["a negative alpha", { lora_alpha: -1 }, "INVALID_CONFIG"],
    ["a pattern that is none", { alpha_pattern: { "(": 1 } }, "INVALID_PATTERN"],
    ["an alpha that would leave the range of f32", { lora_alpha: 3e38, use_rslora: true }, "INVALID_CONFIG"],
  ])("%s", async (_, settings, code) => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder, undefined, settings);
    const error = await errorOf(() => rescale({ adapter, to: "lora", out: join(folder, "out") }));
    expect(error.code).toBe(code);
    expect(readdirSync(folder)).toEqual(["adapter"]);
  });

  test("the adapter's own folder as output, even with overwrite", async () => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder);
    const before = config(adapter);
    const error = await errorOf(() => rescale({ adapter, to: "rslora", out: adapter, overwrite: true }));
    expect([error.code, config(adapter)]).toEqual(["SAME_PATH", before]);
  });

  test("an output that exists, unless told to overwrite", async () => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder);
    const out = join(folder, "out");
    mkdirSync(out);
    writeFileSync(join(out, "mine"), "");
    expect((await errorOf(() => rescale({ adapter, to: "rslora", out }))).code).toBe("OUTPUT_EXISTS");
    expect(readdirSync(out)).toEqual(["mine"]);
    await rescale({ adapter, to: "rslora", out, overwrite: true });
    expect(existsSync(join(out, "mine"))).toBe(false);
  });

  test("a run that is interrupted", async () => {
    const folder = temporaryFolder();
    const adapter = writeAdapter(folder);
    const signal = AbortSignal.abort();
    expect((await errorOf(() => rescale({ adapter, to: "rslora", out: join(folder, "out"), signal }))).code).toBe(
      "INTERRUPTED",
    );
    expect(readdirSync(folder)).toEqual(["adapter"]);
  });
});

test("a dry run says the same and writes nothing", async () => {
  const folder = temporaryFolder();
  const adapter = writeAdapter(folder);
  const wish = { adapter, to: "rslora", out: join(folder, "out") } as const;
  const plan = await rescale({ ...wish, dryRun: true });
  expect(readdirSync(folder)).toEqual(["adapter"]);
  const { result, ...report } = await rescale(wish);
  expect(result?.bytes).toBe(weights(adapter).length);
  expect(plan).toEqual(report);
});
