/** Adapters and bases that do not fit together: refused as a whole, naming what is at fault, before anything is written. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type ErrorCode, merge } from "lora-tool";
import { describe, expect, test } from "vitest";
import { errorOfBuilt } from "../support/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { BASE_TENSORS, pair, Q, type SmallTensors, V, writeAdapter, writeBase, writeTensors } from "./small-model.ts";

interface Case {
  readonly base?: SmallTensors;
  readonly config?: object;
  readonly adapter?: SmallTensors;
  readonly settings?: object;
  readonly options?: Partial<Parameters<typeof merge>[0]>;
}

const [A, B] = [`base_model.model.${Q}.lora_A.weight`, `base_model.model.${Q}.lora_B.weight`];

/** Tensors with some replaced, and those of `undefined` left out. */
function change(
  tensors: SmallTensors,
  changes: Readonly<Record<string, SmallTensors[string] | undefined>>,
): SmallTensors {
  return Object.fromEntries(
    Object.entries({ ...tensors, ...changes }).filter(([, tensor]) => tensor !== undefined),
  ) as SmallTensors;
}

const both = { ...pair(Q), ...pair(V) };
const nan = (index: number) => (index === 5 ? Number.NaN : 0.5);
const huge = (index: number) => (index === 3 ? Number.NEGATIVE_INFINITY : 0.5);

const cases: readonly [what: string, name: string, code: ErrorCode, mentions: RegExp, one: Case][] = [
  // Factors that are missing or too many.
  [
    "A without B",
    "MismatchError",
    "ADAPTER_INCOMPLETE",
    /q_proj.*lora_B/s,
    { adapter: change(both, { [B]: undefined }) },
  ],
  [
    "B without A",
    "MismatchError",
    "ADAPTER_INCOMPLETE",
    /q_proj.*lora_A/s,
    { adapter: change(both, { [A]: undefined }) },
  ],
  [
    "DoRA without magnitudes",
    "MismatchError",
    "ADAPTER_INCOMPLETE",
    /q_proj.*lora_magnitude_vector/s,
    { settings: { use_dora: true } },
  ],
  [
    "half of an embedding's factors",
    "MismatchError",
    "ADAPTER_INCOMPLETE",
    /embed_tokens/,
    { adapter: { ...both, "base_model.model.model.embed_tokens.lora_embedding_A": { shape: [2, 10] } } },
  ],
  [
    "the state of an optimiser",
    "MismatchError",
    "ADAPTER_MISMATCH",
    /exp_avg/,
    { adapter: { ...both, [`${A}.exp_avg`]: { shape: [2, 8] } } },
  ],
  [
    "a module both with factors and replaced as a whole",
    "MismatchError",
    "ADAPTER_MISMATCH",
    /q_proj/,
    {
      adapter: { ...both, [`base_model.model.${Q}.weight`]: { shape: [6, 8] } },
      settings: { modules_to_save: ["q_proj"] },
    },
  ],

  // Names that the base does not have.
  [
    "no module of the base",
    "MismatchError",
    "ADAPTER_MISMATCH",
    /2 problems.*layers\.7.*layers\.9/s,
    { adapter: { ...pair(Q.replace("0", "7")), ...pair(Q.replace("0", "9")) } },
  ],
  [
    "one module too many",
    "MismatchError",
    "ADAPTER_MISMATCH",
    /1 problem\n.*layers\.7/,
    { adapter: { ...both, ...pair(Q.replace("0", "7")) } },
  ],
  [
    "a base without the tensor",
    "MismatchError",
    "ADAPTER_MISMATCH",
    /v_proj/,
    { base: change(BASE_TENSORS, { [`${V}.weight`]: undefined }) },
  ],

  // Shapes.
  [
    "A for other inputs",
    "MismatchError",
    "ADAPTER_MISMATCH",
    /q_proj": .*6 outputs and 9 inputs, expected 6 and 8/,
    { adapter: change(both, { [A]: { shape: [2, 9] } }) },
  ],
  [
    "B for other outputs",
    "MismatchError",
    "ADAPTER_MISMATCH",
    /q_proj": .*7 outputs and 8 inputs, expected 6 and 8/,
    { adapter: change(both, { [B]: { shape: [7, 2] } }) },
  ],
  [
    "factors of two ranks",
    "MismatchError",
    "RANK_MISMATCH",
    /q_proj/,
    { adapter: change(both, { [B]: { shape: [6, 3] } }) },
  ],
  [
    "another rank than the settings say",
    "MismatchError",
    "RANK_MISMATCH",
    /q_proj/,
    { adapter: change(both, { [A]: { shape: [3, 8] }, [B]: { shape: [6, 3] } }) },
  ],
  [
    "A and B exchanged",
    "MismatchError",
    "RANK_MISMATCH",
    /q_proj/,
    { adapter: change(both, { [A]: { shape: [6, 2] }, [B]: { shape: [2, 8] } }) },
  ],
  [
    "a flat A, as an unsharded save leaves it",
    "MismatchError",
    "ADAPTER_MISMATCH",
    /lora_A/,
    { adapter: change(both, { [A]: { shape: [16] } }) },
  ],
  [
    "an empty A",
    "MismatchError",
    "ADAPTER_MISMATCH",
    /lora_A|q_proj/,
    { adapter: change(both, { [A]: { shape: [0] } }) },
  ],
  [
    "convolution factors on a linear layer",
    "MismatchError",
    "ADAPTER_MISMATCH",
    /q_proj/,
    { adapter: change(both, { [A]: { shape: [2, 8, 3, 3] }, [B]: { shape: [6, 2, 1, 1] } }) },
  ],

  // Dtypes.
  [
    "integer factors",
    "UnsupportedError",
    "UNSUPPORTED_DTYPE",
    /lora_A/,
    { adapter: change(both, { [A]: { shape: [2, 8], dtype: "i8" } }) },
  ],
  [
    "an integer base under the adapter",
    "UnsupportedError",
    "UNSUPPORTED_DTYPE",
    /q_proj.*i8/,
    { base: change(BASE_TENSORS, { [`${Q}.weight`]: { shape: [6, 8], dtype: "i8" } }) },
  ],
  [
    "a base that bitsandbytes quantised",
    "UnsupportedError",
    "QUANTIZED_BASE",
    /q_proj/,
    {
      base: change(BASE_TENSORS, {
        [`${Q}.weight`]: { shape: [24, 1], dtype: "u8" },
        [`${Q}.weight.absmax`]: { shape: [1] },
        [`${Q}.weight.quant_state.bitsandbytes__nf4`]: { shape: [8], dtype: "u8" },
      }),
    },
  ],
  [
    "a base that GPTQ quantised",
    "UnsupportedError",
    "QUANTIZED_BASE",
    /q_proj/,
    {
      base: change(BASE_TENSORS, { [`${Q}.weight`]: undefined, [`${Q}.qweight`]: { shape: [1, 6], dtype: "i32" } }),
      config: { quantization_config: { quant_method: "gptq" } },
    },
  ],

  [
    "a base that mlx-lm quantised",
    "UnsupportedError",
    "QUANTIZED_BASE",
    /q_proj/,
    {
      base: change(BASE_TENSORS, {
        [`${Q}.weight`]: { shape: [6, 1], dtype: "u32" },
        [`${Q}.scales`]: { shape: [6, 1] },
        [`${Q}.biases`]: { shape: [6, 1] },
      }),
      config: { quantization: { group_size: 64, bits: 4 } },
    },
  ],

  // Values.
  [
    "NaN in A",
    "NonFiniteError",
    "NON_FINITE",
    /q_proj\.weight.*not finite/,
    { adapter: change(both, { [A]: { shape: [2, 8], value: nan } }) },
  ],
  [
    "infinity in B",
    "NonFiniteError",
    "NON_FINITE",
    /q_proj\.weight.*not finite/,
    { adapter: change(both, { [B]: { shape: [6, 2], value: huge } }) },
  ],
  [
    "NaN in the base under the adapter",
    "NonFiniteError",
    "NON_FINITE",
    /v_proj\.weight": 1 of 48/,
    { base: change(BASE_TENSORS, { [`${V}.weight`]: { shape: [6, 8], value: nan } }) },
  ],
  [
    "a sum that float16 cannot hold",
    "NonFiniteError",
    "NON_FINITE",
    /q_proj\.weight.*as f16/,
    { adapter: change(both, { [B]: { shape: [6, 2], value: () => 60_000 } }), options: { dtype: "f16" } },
  ],
  [
    "a copied weight that float16 cannot hold",
    "NonFiniteError",
    "NON_FINITE",
    /norm\.weight.*as f16/,
    {
      base: change(BASE_TENSORS, { "model.norm.weight": { shape: [8], value: () => 70_000 } }),
      options: { dtype: "f16" },
    },
  ],
  [
    "a B of zeros",
    "MismatchError",
    "NOTHING_CHANGED",
    /deltas are zero/,
    {
      adapter: change(both, {
        [B]: { shape: [6, 2], value: () => 0 },
        [B.replace("q_proj", "v_proj")]: { shape: [6, 2], value: () => 0 },
      }),
    },
  ],
  [
    "deltas that vanish in the rounding",
    "MismatchError",
    "NOTHING_CHANGED",
    /deltas vanish in the rounding/,
    { base: tinyBase(), settings: { lora_alpha: 1e-4 } },
  ],
];

/** bfloat16 and no zeros, so that a delta of 1e-4 is lost everywhere. */
function tinyBase(): SmallTensors {
  return Object.fromEntries(
    Object.entries(BASE_TENSORS).map(([name, { shape }]) => [name, { shape, dtype: "bf16", value: () => 1 }]),
  );
}

describe("a merge refuses", () => {
  test.each(cases)("%s", async (_, name, code, mentions, one) => {
    const folder = temporaryFolder();
    const base = writeBase(folder, one.base, one.config);
    const adapter = writeAdapter(folder, one.adapter, one.settings);
    const out = join(folder, "new/out");
    const error = await errorOfBuilt(() =>
      merge({ base, adapters: [{ path: adapter }], out, workers: 1, ...one.options }),
    );
    expect([error.name, error.code]).toEqual([name, code]);
    expect(error.message).toMatch(mentions);
    expect(error.message).toContain(`${folder}/`);
    expect(error.file).toMatch(new RegExp(`^${folder}/`));
    expect(readdirSync(folder).sort()).toEqual(["adapter", "base"]);
  });

  test("two adapters that replace the same tensor", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder);
    const whole = { ...pair(V), [`base_model.model.${Q}.weight`]: { shape: [6, 8] } };
    const adapters = ["one", "two"].map((name) => ({
      path: writeAdapter(folder, whole, { modules_to_save: ["q_proj"] }, name),
    }));
    const error = await errorOfBuilt(() => merge({ base, adapters, out: join(folder, "out") }));
    expect([error.code, error.message]).toEqual([
      "ADAPTER_MISMATCH",
      expect.stringMatching(/q_proj.*2 adapters replace/),
    ]);
  });

  test("a tensor that lies in two shards, or in none that the index names", async () => {
    for (const [second, mentions] of [
      [{ ...BASE_TENSORS }, /"model\.embed_tokens\.weight" is in "model-00001-of-00002/],
      [{ other: { shape: [2] } }, /"other"/],
    ] as const) {
      const folder = temporaryFolder();
      const base = join(folder, "base");
      mkdirSync(base);
      writeTensors(join(base, "model-00001-of-00002.safetensors"), BASE_TENSORS);
      writeTensors(join(base, "model-00002-of-00002.safetensors"), second);
      const shardOf = Object.keys(BASE_TENSORS).map((name, index) => [
        name,
        `model-0000${index === 0 ? 2 : 1}-of-00002.safetensors`,
      ]);
      writeFileSync(
        join(base, "model.safetensors.index.json"),
        JSON.stringify({ weight_map: Object.fromEntries(shardOf) }),
      );
      const adapter = writeAdapter(folder);
      const error = await errorOfBuilt(() => merge({ base, adapters: [{ path: adapter }], out: join(folder, "out") }));
      expect(error.code).toBe("INVALID_INDEX");
      expect(error.message).toMatch(mentions);
    }
  });

  test.each<[string, object, RegExp]>([
    ["no adapter", { adapters: [] }, /at least one adapter/],
    ["no workers", { workers: 0 }, /workers of at least 1, got 0/],
    ["half a worker", { workers: 1.5 }, /got 1.5/],
    ["shards of no bytes", { maxShardSize: 0 }, /maxShardSize.*got 0/],
    ["shards of NaN bytes", { maxShardSize: Number.NaN }, /got NaN/],
    ["a part behind the last", { part: { index: 3, count: 2 } }, /got 3 of 2/],
    ["an unknown dtype", { dtype: "i8" }, /dtype.*expected one of keep, .*got "i8"/],
    ["an unknown method", { method: "magic" }, /method.*expected one of add, .*got "magic"/],
    ["an endless weight", { weight: Number.POSITIVE_INFINITY }, /finite weight/],
  ])("%s as wrong usage", async (_, options, mentions) => {
    const folder = temporaryFolder();
    const [base, path] = [writeBase(folder), writeAdapter(folder)];
    const { weight = 1, ...others } = options as { weight?: number };
    const error = await errorOfBuilt(() =>
      merge({ base, adapters: [{ path, weight }], out: join(folder, "out"), ...others }),
    );
    expect([error.name, error.code]).toEqual(["UsageError", "INVALID_OPTION"]);
    expect(error.message).toMatch(mentions);
    expect(readdirSync(folder).sort()).toEqual(["adapter", "base"]);
  });
});

describe("a merge accepts", () => {
  test("zeros for factors when it is told to, and copies the base", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder);
    const zero = Object.fromEntries(Object.entries(both).map(([name, { shape }]) => [name, { shape, value: () => 0 }]));
    const adapter = writeAdapter(folder, zero);
    const out = join(folder, "out");
    const report = await merge({ base, adapters: [{ path: adapter }], out, allowUnchanged: true });
    expect(report.result).toMatchObject({ changed: 0, lost: 0, elements: 96 });
    const data = (path: string) => readFileSync(path).subarray(-4 * (80 + 96 + 8));
    expect(data(join(out, "model.safetensors"))).toEqual(data(join(base, "model.safetensors")));
  });

  test("modules that the base does not have when it is told to, and says which", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder);
    const adapter = writeAdapter(folder, { ...both, ...pair(Q.replace("0", "7")) });
    const options = { base, adapters: [{ path: adapter }], out: join(folder, "out"), allowUnused: true };
    const report = await merge(options);
    expect(report.tensors).toMatchObject({ merge: 2 });
    expect(report.warnings).toEqual([expect.stringContaining("layers.7")]);
  });

  test("no misfit of shape, even when unused modules are allowed", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder);
    const adapter = writeAdapter(folder, change(both, { [B]: { shape: [7, 2] } }));
    const options = { base, adapters: [{ path: adapter }], out: join(folder, "out"), allowUnused: true };
    expect((await errorOfBuilt(() => merge(options))).code).toBe("ADAPTER_MISMATCH");
  });

  test("numbers that are not finite where nothing is computed", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder, change(BASE_TENSORS, { "model.norm.weight": { shape: [8], value: nan } }));
    const out = join(folder, "out");
    await merge({ base, adapters: [{ path: writeAdapter(folder) }], out });
    expect(readdirSync(out)).toContain("model.safetensors");
  });

  test("plain weights whose config says that they are quantised, and warns", async () => {
    const folder = temporaryFolder();
    const base = writeBase(folder, BASE_TENSORS, { quantization_config: { quant_method: "bitsandbytes" } });
    const report = await merge({ base, adapters: [{ path: writeAdapter(folder) }], out: join(folder, "out") });
    expect(report.warnings).toEqual([expect.stringMatching(/"quantization_config", but no weight is quantised/)]);
  });

  test("the same adapter twice, and warns", async () => {
    const folder = temporaryFolder();
    const path = writeAdapter(folder);
    const adapters = [{ path }, { path: `${path}/../adapter` }];
    const report = await merge({ base: writeBase(folder), adapters, out: join(folder, "out") });
    expect(report.warnings).toEqual([expect.stringMatching(/adapter: .*twice/)]);
  });
});
