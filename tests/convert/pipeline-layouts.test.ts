/**
 * Adapters of image pipelines between kohya, diffusers and PEFT, with and without the base: what is written merges to what
 * the original must give.
 */

import { join } from "node:path";
import { convert, inspect } from "lora-tool";
import { describe, expect, test } from "vitest";
import { errorOfBuilt } from "../support/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { caseOf, expectSameMerge } from "./cases.ts";

const OUT = { kohya: "adapter.safetensors", diffusers: "adapter.safetensors", peft: "adapter" } as const;
type Target = keyof typeof OUT;

const CARRIED: readonly (readonly [name: string, to: Target])[] = [
  ["kohya/lora", "peft"],
  ["kohya/lora", "diffusers"],
  ["kohya/locon-tucker", "diffusers"],
  ["kohya/locon-tucker", "kohya"],
  ["kohya/dora", "kohya"],
  ["kohya/loha", "kohya"],
  ["kohya/lokr", "kohya"],
  ["kohya/ia3", "kohya"],
  ["kohya/sdxl-checkpoint", "diffusers"],
  ["kohya/sdxl-diffusers-names", "kohya"],
  ["kohya/flux", "diffusers"],
  ["kohya/flux", "kohya"],
  ["diffusers/dora", "kohya"],
  ["diffusers/metadata", "kohya"],
  ["diffusers/comfy", "kohya"],
  ["diffusers/old-names", "diffusers"],
  ["diffusers/flux-single-file", "kohya"],
  ["diffusers/sd-single-file", "kohya"],
  ["diffusers/xlabs", "diffusers"],
  ["diffusers/no-part", "diffusers"],
  ["diffusers/no-part", "peft"],
  ["peft/conv2d-dora", "kohya"],
  ["peft/lora-bias", "kohya"],
  ["peft/llama-rslora", "kohya"],
  ["peft/lokr-full", "kohya"],
];

describe.each(CARRIED)("%s as %s", (name, to) => {
  test("keeps its deltas, with the base at hand or without", async () => {
    const one = caseOf(name);
    const folder = temporaryFolder();
    const [alone, told] = ["alone", "told"].map((sub) => join(folder, sub, OUT[to]));
    await convert({ input: one.adapter, to, out: alone ?? "" });
    await convert({ input: one.adapter, base: one.base, to, out: told ?? "" });
    await expectSameMerge(one, told ?? "", join(folder, "merged"));
    const [first, second] = await Promise.all([alone, told].map((path) => inspect({ path: path ?? "" })));
    expect(first?.tensors.map((tensor) => tensor.name)).toEqual(second?.tensors.map((tensor) => tensor.name));
  });
});

describe.each([
  ["kohya/dora", "diffusers", "diffusers has no place for a DoRA magnitude for each input of linear layers"],
  ["kohya/loha", "diffusers", "diffusers has no place for LoHa"],
  ["kohya/ia3", "peft", "has no place for ia3"],
  ["kohya/sdxl-checkpoint", "peft", 'is for one model, the adapter has "text_encoder", "text_encoder_2", "unet"'],
  ["kohya/lora", "mlx", "MLX is for language models, not for the unet of an image pipeline"],
  ["diffusers/metadata", "gguf", "GGUF is for language models"],
  ["peft/llama-lora", "diffusers", "is of no part of a pipeline"],
  ["peft/embedding-no-base-layer", "kohya", "kohya's layout has no place for adapted embeddings"],
  ["peft/ia3", "kohya", "LyCORIS stores IA3 as 1 + vector"],
] as const)("%s as %s", (name, to, reason) => {
  test(`is refused: ${reason}`, async () => {
    const { adapter: input } = caseOf(name);
    const error = await errorOfBuilt(() => convert({ input, to, out: join(temporaryFolder(), "out") }));
    expect(error.message).toContain(reason);
    expect(error.code).toBe("UNSUPPORTED_ADAPTER");
  });
});
