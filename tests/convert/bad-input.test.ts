/** Files of every layout that are broken, contradict themselves or cannot be said: a typed error, and nothing is written. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { convert, rescale } from "lora-tool";
import { writeSafetensors } from "lora-tool/formats";
import { describe, expect, test } from "vitest";
import type { Dtype } from "../../src/core/dtype.ts";
import { errorOfBuilt } from "../support/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { caseOf } from "./cases.ts";

type Shapes = Readonly<Record<string, readonly number[]>>;

/** A file of f32 tensors of ones, unless told otherwise. */
function weights(path: string, shapes: Shapes, { dtype = "f32" as Dtype, value = 1, metadata = {} } = {}): string {
  const tensors = Object.entries(shapes).map(([name, shape]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const bytes = dtype === "f32" ? new Uint8Array(new Float32Array(count).fill(value).buffer) : new Uint8Array(count);
    return { name, dtype, shape, bytes };
  });
  writeSafetensors(path, tensors, new Map(Object.entries(metadata)));
  return path;
}

function folder(parent: string, name: string, shapes: Shapes, settings: object | undefined): string {
  const path = join(parent, "adapter");
  mkdirSync(path);
  weights(join(path, name), shapes);
  if (settings !== undefined) writeFileSync(join(path, "adapter_config.json"), JSON.stringify(settings));
  return path;
}

/** The first bytes of a fixture. */
function truncated(parent: string, name: string, file: string, bytes: number): string {
  const path = join(parent, file);
  writeFileSync(path, readFileSync(caseOf(name).adapter).subarray(0, bytes));
  return path;
}

const FLAT = "lora_unet_conv_in";
const Q = "model.layers.0.self_attn.q_proj";
const PEFT = { peft_type: "LORA", r: 2, lora_alpha: 4, target_modules: ["q_proj"] };

const flat = (down: readonly number[], up: readonly number[]): Shapes => ({
  [`${FLAT}.lora_down.weight`]: down,
  [`${FLAT}.lora_up.weight`]: up,
  [`${FLAT}.alpha`]: [],
});
const peft = (rank: number): Shapes => ({
  [`base_model.model.${Q}.lora_A.weight`]: [rank, 8],
  [`base_model.model.${Q}.lora_B.weight`]: [8, rank],
});
const mlx = { [`${Q}.lora_a`]: [8, 2], [`${Q}.lora_b`]: [2, 8] };

const BROKEN: readonly (readonly [what: string, make: (parent: string) => string, code: string, reason: RegExp])[] = [
  [
    "kohya: one factor",
    (at) => weights(join(at, "a.safetensors"), { [`${FLAT}.lora_down.weight`]: [2, 4] }),
    "ADAPTER_INCOMPLETE",
    /lora_up/,
  ],
  [
    "kohya: ranks that differ",
    (at) => weights(join(at, "a.safetensors"), flat([2, 4], [6, 3])),
    "ADAPTER_MISMATCH",
    /expected shape \[6, 2\]/,
  ],
  [
    "kohya: an alpha of 0",
    (at) => weights(join(at, "a.safetensors"), flat([2, 4], [6, 2]), { value: 0 }),
    "ADAPTER_MISMATCH",
    /alpha is 0/,
  ],
  [
    "kohya: integers",
    (at) => weights(join(at, "a.safetensors"), flat([2, 4], [6, 2]), { dtype: "i8" }),
    "UNSUPPORTED_DTYPE",
    /float dtype/,
  ],
  ["kohya: cut short", (at) => truncated(at, "kohya/lora", "a.safetensors", 900), "HEADER_TRUNCATED", /./],
  [
    "diffusers: settings that are no JSON",
    (at) =>
      weights(
        join(at, "a.safetensors"),
        { "unet.conv_in.lora_A.weight": [2, 4], "unet.conv_in.lora_B.weight": [6, 2] },
        { metadata: { lora_adapter_metadata: "{" } },
      ),
    "INVALID_JSON",
    /./,
  ],
  [
    "diffusers: another rank in the settings",
    (at) =>
      weights(
        join(at, "a.safetensors"),
        { "unet.conv_in.lora_A.weight": [2, 4], "unet.conv_in.lora_B.weight": [6, 2] },
        { metadata: { lora_adapter_metadata: '{"unet.r":4,"unet.lora_alpha":4,"unet.target_modules":["conv_in"]}' } },
      ),
    "RANK_MISMATCH",
    /expected rank 4/,
  ],
  [
    "MLX: no settings",
    (at) => folder(at, "adapters.safetensors", mlx, undefined),
    "FILE_NOT_FOUND",
    /adapter_config\.json/,
  ],
  [
    "MLX: no scale",
    (at) => folder(at, "adapters.safetensors", mlx, { fine_tune_type: "lora", lora_parameters: { rank: 2 } }),
    "INVALID_CONFIG",
    /scale/,
  ],
  [
    "MLX: another rank in the settings",
    (at) => folder(at, "adapters.safetensors", mlx, { lora_parameters: { rank: 3, scale: 1 } }),
    "ADAPTER_MISMATCH",
    /expected shape \[8, 3\]/,
  ],
  ["GGUF: cut short", (at) => truncated(at, "gguf/llama", "a.gguf", 700), "HEADER_TRUNCATED", /./],
  ["GGUF: another file under the name", (at) => truncated(at, "kohya/lora", "a.gguf", 2000), "WRONG_FORMAT", /./],
  [
    ".onnx_adapter: cut short",
    (at) => truncated(at, "onnx-adapter/lora", "a.onnx_adapter", 300),
    "INVALID_OFFSETS",
    /./,
  ],
  [
    "PEFT: another rank in the settings",
    (at) => folder(at, "adapter_model.safetensors", peft(4), PEFT),
    "RANK_MISMATCH",
    /expected rank 2/,
  ],
  [
    "PEFT: no settings",
    (at) => folder(at, "adapter_model.safetensors", peft(2), undefined),
    "FILE_NOT_FOUND",
    /adapter_config\.json/,
  ],
  ["a model", () => caseOf("peft/llama-lora").base, "FILE_NOT_FOUND", /expected an adapter, got a model/],
];

describe.each(BROKEN)("%s", (_, make, code, reason) => {
  test("is an error of convert and of rescale, and nothing is written", async () => {
    const parent = temporaryFolder();
    const input = make(parent);
    const before = readdirSync(parent);
    const out = join(parent, "out");
    for (const act of [() => convert({ input, to: "peft", out }), () => rescale({ adapter: input, to: "lora", out })]) {
      const error = await errorOfBuilt(act);
      expect(error.code).toBe(code);
      expect(`${error.message} ${error.hint}`).toMatch(reason);
      expect(readdirSync(parent)).toEqual(before);
    }
  });
});

describe("convert", () => {
  const { adapter: input } = caseOf("kohya/lora");

  test("refuses a model that is safetensors already", async () => {
    const { base = "" } = caseOf("peft/llama-lora");
    const error = await errorOfBuilt(() =>
      convert({ input: base, to: "safetensors", out: join(temporaryFolder(), "out") }),
    );
    expect(error).toMatchObject({ code: "UNSUPPORTED_FORMAT", hint: "a model in safetensors needs no conversion" });
  });

  test("refuses a flat name that no known architecture has, and names --base", async () => {
    const parent = temporaryFolder();
    const unknown = "lora_unet_some_block_0_layer";
    const shapes = { [`${unknown}.lora_down.weight`]: [2, 4], [`${unknown}.lora_up.weight`]: [6, 2] };
    const path = weights(join(parent, "a.safetensors"), shapes);
    const error = await errorOfBuilt(() => convert({ input: path, to: "peft", out: join(parent, "out") }));
    expect(error).toMatchObject({ code: "ADAPTER_MISMATCH", hint: expect.stringContaining("--base") });
    expect(error.message).toContain(`"${unknown}": is no layer of a known architecture`);
    const { base } = caseOf("kohya/lora");
    const withBase = await errorOfBuilt(() => convert({ input: path, base, to: "peft", out: join(parent, "out") }));
    expect(withBase.message).toContain("the base has no such layer");
  });

  test("refuses a flat name that fits two layers of the base", async () => {
    const parent = temporaryFolder();
    const base = weights(join(parent, "base.safetensors"), { "conv_in.weight": [6, 4], "conv.in.weight": [6, 4] });
    const path = weights(join(parent, "a.safetensors"), flat([2, 4], [6, 2]));
    const error = await errorOfBuilt(() => convert({ input: path, base, to: "peft", out: join(parent, "out") }));
    expect(error.message).toContain('fits "conv.in.weight", "conv_in.weight" of the base, expected one');
  });

  test.each(["\0", "a".repeat(70_000), "\ud800/x"])("takes a base named %j for none", async (name) => {
    const parent = temporaryFolder();
    const path = folder(parent, "adapter_model.safetensors", peft(2), { ...PEFT, base_model_name_or_path: name });
    const error = await errorOfBuilt(() => convert({ input: path, to: "gguf", out: join(parent, "out.gguf") }));
    expect(error.message).toMatch(/GGUF needs the architecture|surrogate/);
  });

  test("says what it would do under dryRun and writes nothing", async () => {
    const parent = temporaryFolder();
    const report = await convert({ input, to: "peft", out: join(parent, "out"), dryRun: true });
    expect(report).toMatchObject({ kind: "adapter", from: "kohya", to: "peft" });
    expect(report.result).toBeUndefined();
    expect(readdirSync(parent)).toEqual([]);
  });

  test("replaces nothing unless it may, and never an input", async () => {
    const parent = temporaryFolder();
    const out = join(parent, "out");
    await convert({ input, to: "peft", out });
    expect(await errorOfBuilt(() => convert({ input, to: "peft", out }))).toMatchObject({ code: "OUTPUT_EXISTS" });
    await convert({ input, to: "peft", out, overwrite: true });
    const onItself = () => convert({ input: out, to: "peft", out, overwrite: true });
    expect(await errorOfBuilt(onItself)).toMatchObject({ code: "SAME_PATH" });
  });

  test.each([
    ["peft", "out.safetensors"],
    ["mlx", "out.gguf"],
    ["gguf", "out.safetensors"],
    ["kohya", "out.onnx_adapter"],
  ] as const)("refuses to write %s as %s", async (to, name) => {
    const error = await errorOfBuilt(() => convert({ input, to, out: join(temporaryFolder(), name) }));
    expect(error).toMatchObject({ code: "INVALID_OPTION", name: "UsageError" });
  });

  test("stops when it is asked to, and leaves nothing", async () => {
    const parent = temporaryFolder();
    const signal = AbortSignal.abort();
    const error = await errorOfBuilt(() => convert({ input, to: "peft", out: join(parent, "out"), signal }));
    expect(error.code).toBe("INTERRUPTED");
    expect(readdirSync(parent)).toEqual([]);
  });

  test("writes the same bytes each time", async () => {
    const parent = temporaryFolder();
    for (const name of ["a", "b"]) await convert({ input, to: "diffusers", out: join(parent, `${name}.safetensors`) });
    const [a, b] = ["a", "b"].map((name) => readFileSync(join(parent, `${name}.safetensors`)));
    expect(a?.equals(b ?? Buffer.of())).toBe(true);
  });
});
