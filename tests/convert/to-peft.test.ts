/** Every adapter under fixtures that PEFT's LoRA, LoHa or LoKr can express, as a PEFT folder: it merges to what the original must give. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { convert, merge, verify } from "lora-tool";
import { describe, expect, test } from "vitest";
import { Q, type SmallTensors, writeAdapter, writeBase } from "../merge/small-model.ts";
import { errorOfBuilt } from "../support/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { caseOf, casesOf, expectSameMerge } from "./cases.ts";

/** Deltas that are no product of two matrices, and token rows alone. */
const OTHER_KINDS = /ia3|vera/;

/** One of each kind of module, of settings and of whole tensors; the rest differ in their bases only. */
const KINDS = new RegExp(
  "adalora$|infix|bias-|conv|embedding-|experts$|lora-bias$|v4-rslora|expert-major|multihead|pissa$|olora|patterns|dora|" +
    "rslora|modules-to-save$|trainable-tokens|tied-ensure|resized-vocab-lora|llama-lora$|adapter-f16|loha|lokr|ia3|velora|monteclora|ln-tuning|vera",
);

const cases = casesOf("peft").filter(({ name }) => KINDS.test(name));
const [others = [], loras = []] = [true, false].map((wanted) =>
  cases.filter(({ name }) => OTHER_KINDS.test(name) === wanted),
);

describe.each(loras)("$name", (one) => {
  test("keeps its deltas", async () => {
    const folder = temporaryFolder();
    const adapter = join(folder, "adapter");
    await convert({ input: one.adapter, to: "peft", out: adapter });
    await expectSameMerge(one, adapter, join(folder, "merged"));
  });
});

describe.each(others)("$name", ({ adapter }) => {
  test("is refused by name", async () => {
    const out = join(temporaryFolder(), "adapter");
    const error = await errorOfBuilt(() => convert({ input: adapter, to: "peft", out }));
    expect(error).toMatchObject({ code: "UNSUPPORTED_ADAPTER", subject: expect.stringMatching(/./) });
  });
});

test.each([
  ["velora", "velora_config"],
  ["monteclora", "monteclora_config"],
])("settings of %s do not ask for tensors that only training used", async (name, setting) => {
  const out = join(temporaryFolder(), "adapter");
  await convert({ input: caseOf(`peft/${name}`).adapter, to: "peft", out });
  const settings = JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8"));
  expect(settings).toMatchObject({ peft_type: "LORA" });
  expect(settings).not.toHaveProperty(setting);
});

test("rows of tokens alone are of PEFT's type for them, whose LoRA needs a target", async () => {
  const out = join(temporaryFolder(), "adapter");
  await convert({ input: caseOf("peft/trainable-tokens-type").adapter, to: "peft", out });
  const settings = JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8"));
  expect(settings).toMatchObject({ peft_type: "TRAINABLE_TOKENS", token_indices: [6, 0] });
});

test.each([
  ["base_model.model.model.norm.ln_tuning_layers.weight", { peft_type: "LN_TUNING", target_modules: ["norm"] }],
  ["base_model.model.model.norm.ln_tuning_layers.default.weight", { peft_type: "LN_TUNING", target_modules: ["norm"] }],
  ["base_model.model.model.norm.weight", { peft_type: "LORA", target_modules: ["absent"], modules_to_save: ["norm"] }],
])("whole modules alone are of PEFT's type for norms, whose LoRA needs a target: %s", async (name, settings) => {
  const folder = temporaryFolder();
  const base = writeBase(folder);
  const adapter = writeAdapter(folder, { [name]: { shape: [8], value: (index) => 2 + index } }, settings);
  const [out, merged] = [join(folder, "converted"), join(folder, "merged")];
  await convert({ input: adapter, to: "peft", out });
  const report = await merge({ base, adapters: [{ path: adapter }], out: merged, workers: 1 });
  expect(report.tensors).toMatchObject({ copy: 3, replace: 1 });
  expect(await verify({ base, adapters: [{ path: out }], merged, workers: 1 })).toMatchObject({ different: 0 });
  const written = JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8"));
  expect(written).toMatchObject({ peft_type: "LN_TUNING", target_modules: ["model.norm"] });
});

describe("LoHa and LoKr beside whole tensors", () => {
  const factor = (name: string, shape: readonly number[]) => [`base_model.model.${Q}.${name}`, { shape }] as const;
  const LOHA: SmallTensors = Object.fromEntries([
    factor("hada_w1_a", [6, 2]),
    factor("hada_w1_b", [2, 8]),
    factor("hada_w2_a", [6, 2]),
    factor("hada_w2_b", [2, 8]),
  ]);
  // 6 = 2 · 3 outputs and 8 = 2 · 4 inputs.
  const LOKR: SmallTensors = Object.fromEntries([
    factor("lokr_w1", [2, 2]),
    factor("lokr_w2_a", [3, 1]),
    factor("lokr_w2_b", [1, 4]),
  ]);
  const SETTINGS = { alpha: 4, target_modules: ["q_proj"] };
  const norm: SmallTensors = { "base_model.model.model.norm.weight": { shape: [8], value: (index) => 2 + index } };

  test.each([
    ["LOHA", LOHA, {}],
    ["LOKR", LOKR, { r: 1 }],
  ])("%s keeps them", async (type, factors, more) => {
    const folder = temporaryFolder();
    const base = writeBase(folder);
    const settings = { ...SETTINGS, ...more, peft_type: type, modules_to_save: ["norm"] };
    const adapter = writeAdapter(folder, { ...factors, ...norm }, settings);
    const [out, merged] = [join(folder, "converted"), join(folder, "merged")];
    await convert({ input: adapter, to: "peft", out });
    await merge({ base, adapters: [{ path: adapter }], out: merged, workers: 1 });
    expect(await verify({ base, adapters: [{ path: out }], merged, workers: 1 })).toMatchObject({ different: 0 });
    const written = JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8"));
    expect(written).toMatchObject({ peft_type: type, modules_to_save: ["model.norm"] });
  });

  test("is refused for a bias alone, which they have no setting for", async () => {
    const folder = temporaryFolder();
    const bias: SmallTensors = { "base_model.model.model.norm.bias": { shape: [8] } };
    const adapter = writeAdapter(folder, { ...LOHA, ...bias }, { ...SETTINGS, peft_type: "LOHA" });
    const error = await errorOfBuilt(() => convert({ input: adapter, to: "peft", out: join(folder, "converted") }));
    expect(error).toMatchObject({ code: "UNSUPPORTED_ADAPTER", subject: "bias" });
  });
});
