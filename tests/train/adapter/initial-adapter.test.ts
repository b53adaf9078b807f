/** `--init-adapter` with folders as PEFT saves them. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openSafetensors } from "../../../src/formats/safetensors/reader.ts";
import { numbersOf } from "../../support/read-tensor.ts";
import { entry, fileOf } from "../../support/safetensors-bytes.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { numbers, run, TINY } from "../run-fixture.ts";

const HEAD = numbersOf(openSafetensors(join(TINY, "model.safetensors")).tensors.get("lm_head.weight") as never);
const RANK = 2;

/** LoRA on lm_head and one q_proj. PEFT saves the weight of an adapted head beside its factors. */
function initialAdapter(settings: object, head: ArrayLike<number> = HEAD): string {
  const folder = temporaryFolder();
  const width = 16;
  const tensors: [string, number[], ArrayLike<number>][] = [
    ["lm_head.base_layer.weight", [HEAD.length / width, width], head],
    ["lm_head.lora_A.weight", [RANK, width], new Float32Array(RANK * width).fill(0.1)],
    ["lm_head.lora_B.weight", [HEAD.length / width, RANK], new Float32Array((HEAD.length / width) * RANK)],
    ["model.layers.1.self_attn.q_proj.lora_A.weight", [RANK, width], new Float32Array(RANK * width).fill(0.1)],
    ["model.layers.1.self_attn.q_proj.lora_B.weight", [width, RANK], new Float32Array(width * RANK)],
  ];
  let end = 0;
  const header = Object.fromEntries(
    tensors.map(([name, shape, values]) => {
      const start = end;
      end += values.length * 4;
      return [`base_model.model.${name}`, entry("F32", shape, start, end)];
    }),
  );
  const file = fileOf(JSON.stringify(header), end);
  file.set(
    Buffer.concat(tensors.map(([, , values]) => new Uint8Array(Float32Array.from(values).buffer))),
    file.length - end,
  );
  writeFileSync(join(folder, "adapter_model.safetensors"), file);
  const config = { peft_type: "LORA", task_type: "CAUSAL_LM", r: RANK, lora_alpha: 4, ...settings };
  writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(config));
  return folder;
}

const HEAD_KEYS = ["base_layer.weight", "lora_A.weight", "lora_B.weight"].map(
  (key) => `base_model.model.lm_head.${key}`,
);
const start = { rank: undefined, steps: 1 };

describe("an initial adapter", () => {
  it("may carry weights of the base, which the trained one carries on", async () => {
    const out = join(temporaryFolder(), "out");
    const targets = { target_modules: ["lm_head", "q_proj"], layers_to_transform: [1] };
    await run(out, { ...start, initAdapter: initialAdapter(targets), saveEvery: 1 });
    const tensors = numbers(out);
    expect([...tensors.keys()].slice(0, 3)).toEqual(HEAD_KEYS);
    expect(tensors.get(HEAD_KEYS[0] ?? "")).toEqual(HEAD);
  });

  it("may not carry other weights than the base has", async () => {
    const initAdapter = initialAdapter(
      { target_modules: ["lm_head", "q_proj"] },
      HEAD.map((value) => value + 1),
    );
    await expect(run(join(temporaryFolder(), "out"), { ...start, initAdapter })).rejects.toThrow(
      /lm_head.base_layer.weight": carries another weight than the base has/,
    );
  });

  it.each<[string, object, object]>([
    [
      "names and patterns that match nothing, which PEFT lets stand",
      {
        target_modules: ["lm_head", "q_proj", "c_attn"],
        layers_to_transform: [1],
        alpha_pattern: { "self_attn.k_proj": 2, q_proj: 8 },
        rank_pattern: { gate_proj: 3 },
      },
      { target_modules: ["lm_head", "q_proj"], alpha_pattern: { q_proj: 8 }, rank_pattern: {} },
    ],
    [
      "modules that its settings exclude",
      { target_modules: ".*q_proj|lm_head", exclude_modules: ["model.layers.0.self_attn.q_proj"] },
      { target_modules: ["lm_head", "model.layers.1.self_attn.q_proj"] },
    ],
  ])("is trained on as it is, with %s", async (_, settings, written) => {
    const out = join(temporaryFolder(), "out");
    const initAdapter = initialAdapter(settings);
    await run(out, { ...start, initAdapter });
    expect([...numbers(out).keys()].sort()).toEqual([...numbers(initAdapter).keys()].sort());
    expect(JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8"))).toMatchObject(written);
  });
});
