import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openAdapter } from "../../src/adapters/open-adapter.ts";
import { LoraToolError } from "../../src/core/errors.ts";
import { errorOf } from "../support/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const FIXTURES = fileURLToPath(new URL("../../fixtures/", import.meta.url));
const TRAINED = join(FIXTURES, "adapters");
const CASES = join(FIXTURES, "peft");

/** Refused while the adapter itself is read; other error cases need the base. */
const REFUSED_ALONE: Readonly<Record<string, string>> = {
  "conv2d-groups": "UNSUPPORTED_ADAPTER",
  "refuse-alora": "UNSUPPORTED_ADAPTER",
  "refuse-arrow": "UNSUPPORTED_ADAPTER",
  "refuse-bin-pickle": "UNSUPPORTED_FORMAT",
  "refuse-bin-zip": "UNSUPPORTED_FORMAT",
  "refuse-corda": "UNSUPPORTED_ADAPTER",
  "refuse-dora-without-magnitude": "ADAPTER_INCOMPLETE",
  "refuse-integer-tensors": "UNSUPPORTED_DTYPE",
  "refuse-layer-replication": "UNSUPPORTED_ADAPTER",
  "refuse-loftq": "UNSUPPORTED_ADAPTER",
  "refuse-lora-a-without-b": "ADAPTER_INCOMPLETE",
  "refuse-lora-ga": "UNSUPPORTED_ADAPTER",
  "refuse-pattern-conditional": "UNSUPPORTED_PATTERN",
  "refuse-pattern-inline-flag": "INVALID_PATTERN",
  "refuse-pattern-invalid": "INVALID_PATTERN",
  "refuse-pissa-niter": "UNSUPPORTED_ADAPTER",
  "refuse-prompt-tuning": "UNSUPPORTED_ADAPTER",
  "refuse-qalora": "UNSUPPORTED_ADAPTER",
  "refuse-rank-contradiction": "RANK_MISMATCH",
  "refuse-rank-pattern-resorted": "RANK_MISMATCH",
  "refuse-vera": "UNSUPPORTED_ADAPTER",
  "refuse-xlora": "UNSUPPORTED_ADAPTER",
};

/** PEFT can merge these; this program refuses them by name. */
const NOT_SUPPORTED: Readonly<Record<string, string>> = {
  kasa: "UNSUPPORTED_ADAPTER",
  "pattern-python-syntax": "UNSUPPORTED_PATTERN",
};

interface Case {
  readonly expect: "merge" | { readonly error: string };
  readonly adapters: readonly { readonly path: string }[];
  readonly scales?: Readonly<Record<string, { readonly alpha: number; readonly rank: number; readonly scale: number }>>;
}

const cases = readdirSync(CASES)
  .filter((name) => existsSync(join(CASES, name, "case.json")))
  .map((name) => [name, JSON.parse(readFileSync(join(CASES, name, "case.json"), "utf8")) as Case] as const);

describe("openAdapter on what PEFT wrote", () => {
  test.each(cases)("reads or refuses %s", async (name, { expect: outcome, adapters, scales }) => {
    const code = REFUSED_ALONE[name] ?? NOT_SUPPORTED[name];
    if (NOT_SUPPORTED[name] === undefined && code !== undefined) expect(outcome).toHaveProperty("error");
    for (const { path } of adapters) {
      const folder = join(CASES, name, path);
      if (code !== undefined) {
        expect((await errorOf(() => openAdapter(folder))).code).toBe(code);
        continue;
      }
      // An error that only the base brings out: the adapter may be fine.
      if (outcome !== "merge") {
        await openAdapter(folder).catch((error: unknown) => expect(error).toBeInstanceOf(LoraToolError));
        continue;
      }
      const adapter = await openAdapter(folder);
      const placed = adapter.modules.length + adapter.overrides.length + adapter.tokenRows.length;
      expect(placed).toBeGreaterThan(0);
      for (const [module, expected] of Object.entries(scales ?? {})) {
        expect(adapter.modules.find((candidate) => candidate.name === module)).toMatchObject(expected);
      }
    }
  });

  test.each([
    ["shakespeare-lora-r8", "LoRA", 2],
    ["shakespeare-rslora-r64", "rsLoRA", 2],
    ["shakespeare-dora-r8", "DoRA", 2],
  ])("reads the trained adapter %s", async (name, method, scale) => {
    const adapter = await openAdapter(join(TRAINED, name));
    expect(adapter).toMatchObject({ method, layout: "peft", baseModel: "stories260K", warnings: [], overrides: [] });
    expect(adapter.modules).toHaveLength(35);
    expect(new Set(adapter.modules.map((module) => module.scale))).toEqual(new Set([scale]));
    expect(adapter.files.map(({ path }) => basename(path))).toEqual([
      "adapter_model.safetensors",
      "adapter_config.json",
    ]);
  });

  test("gives the trained adapter with patterns the ranks and alphas that were set", async () => {
    const { modules } = await openAdapter(join(TRAINED, "shakespeare-patterns"));
    const expected = (name: string): [number, number] => {
      const rank = name.endsWith("q_proj")
        ? 4
        : name.endsWith("down_proj")
          ? 16
          : name.endsWith("layers.0.mlp.gate_proj")
            ? 32
            : 8;
      const alpha = name.endsWith("v_proj")
        ? 8
        : name.endsWith("layers.4.self_attn.o_proj")
          ? 24
          : name.endsWith("down_proj")
            ? 32
            : 16;
      return [rank, alpha];
    };
    for (const { name, rank, alpha, scale } of modules) {
      expect([rank, alpha, scale], name).toEqual([...expected(name), expected(name)[1] / Math.sqrt(expected(name)[0])]);
    }
  });
});

describe("openAdapter on paths", () => {
  const trained = join(TRAINED, "shakespeare-lora-r8");

  function copy(): string {
    const folder = join(temporaryFolder(), "adapter");
    cpSync(trained, folder, { recursive: true });
    return folder;
  }

  test("takes the weights file with the settings beside it", async () => {
    const file = join(trained, "adapter_model.safetensors");
    const adapter = await openAdapter(file);
    expect(adapter.path).toBe(file);
    expect(adapter.modules).toHaveLength(35);
  });

  test("takes a folder whose name looks like a file", async () => {
    const folder = join(temporaryFolder(), "adapter.safetensors");
    cpSync(trained, folder, { recursive: true });
    expect((await openAdapter(folder)).modules).toHaveLength(35);
  });

  test.each(["folder", "file"])("does not guess the settings when they are missing beside a %s", async (kind) => {
    const folder = copy();
    rmSync(join(folder, "adapter_config.json"));
    const error = await errorOf(() =>
      openAdapter(kind === "folder" ? folder : join(folder, "adapter_model.safetensors")),
    );
    expect(error.code).toBe("FILE_NOT_FOUND");
    expect(error.hint).toContain("adapter_config.json");
  });

  test("says which file of the folder could be meant", async () => {
    const folder = copy();
    renameSync(join(folder, "adapter_model.safetensors"), join(folder, "other.safetensors"));
    const error = await errorOf(() => openAdapter(folder));
    expect(error.code).toBe("FILE_NOT_FOUND");
    expect(error.hint).toContain('"other.safetensors"');
  });

  test("refuses a pickle by its name, whatever is in it", async () => {
    const folder = copy();
    rmSync(join(folder, "adapter_model.safetensors"));
    writeFileSync(join(folder, "adapter_model.bin"), "anything");
    expect((await errorOf(() => openAdapter(folder))).code).toBe("UNSUPPORTED_FORMAT");
  });

  test("refuses a folder with the weights of two tools", async () => {
    const folder = copy();
    writeFileSync(join(folder, "adapters.safetensors"), "anything");
    const error = await errorOf(() => openAdapter(folder));
    expect(error.code).toBe("INVALID_MODEL");
    expect(error.message).toContain("adapters.safetensors");
  });

  test("refuses weights that are no adapter", async () => {
    const model = join(FIXTURES, "stories260K", "model.safetensors");
    const error = await errorOf(() => openAdapter(model));
    expect(error.code).toBe("UNSUPPORTED_FORMAT");
    expect(error.message).toContain("not an adapter of a known layout (");
  });

  test.each([
    ["nothing there", "nowhere", "FILE_NOT_FOUND"],
    ["an empty folder", "empty", "FILE_NOT_FOUND"],
    ["a file of another kind", "notes.txt", "UNSUPPORTED_FORMAT"],
  ])("refuses %s", async (_, name, code) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "empty"));
    writeFileSync(join(folder, "notes.txt"), "hello");
    expect((await errorOf(() => openAdapter(join(folder, name)))).code).toBe(code);
  });

  test.each([
    ["empty", ""],
    ["cut off", '{"peft_type": "LORA", "r": 8'],
    ["a byte order mark", '\ufeff{"peft_type": "LORA"}'],
    ["a list", "[]"],
    ["nested without end", "[".repeat(100_000)],
    ["with NaN", '{"peft_type": "LORA", "r": 8, "lora_alpha": NaN}'],
  ])("refuses settings that are %s", async (_, text) => {
    const folder = copy();
    writeFileSync(join(folder, "adapter_config.json"), text);
    const error = await errorOf(() => openAdapter(folder));
    expect(error.code).toBe("INVALID_JSON");
    expect(error.file).toBe(join(folder, "adapter_config.json"));
  });
});
