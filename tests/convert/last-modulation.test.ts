/** The last modulation of Flux: (shift, scale) in original models, (scale, shift) in diffusers. */

import { join } from "node:path";
import { convert, merge } from "lora-tool";
import { describe, expect, test } from "vitest";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import { type SmallTensors, writeTensors } from "../merge/small-model.ts";
import { errorOfBuilt } from "../support/errors.ts";
import { numbersOf } from "../support/read-tensor.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ORIGINAL = "final_layer.adaLN_modulation.1";
const DIFFUSERS = "norm_out.linear";
/** Any other layer, by which Flux is recognised. */
const OTHER = ["single_blocks.0.linear2", "single_transformer_blocks.0.proj_out"] as const;

function writeBase(folder: string, name: string, modulation: string, other: string): string {
  const path = join(folder, `${name}.safetensors`);
  const zeros = { value: () => 0 };
  writeTensors(path, {
    [`${modulation}.weight`]: { shape: [4, 3], ...zeros },
    [`${modulation}.bias`]: { shape: [4], ...zeros },
    [`${other}.weight`]: { shape: [3, 3], ...zeros },
  });
  return path;
}

/** Rows of up · down are 1, 2, … times (1, 2, 4); alpha is the rank. */
function factors(module: string, rows: number, bias?: string): SmallTensors {
  return {
    [`${module}.lora_down.weight`]: { shape: [1, 3], value: (index) => 2 ** index },
    [`${module}.lora_up.weight`]: { shape: [rows, 1], value: (index) => index + 1 },
    ...(bias && { [`${module}.${bias}`]: { shape: [rows], value: (index) => 10 * (index + 1) } }),
  };
}

async function firstColumn(base: string, adapter: string, out: string, name: string): Promise<readonly number[]> {
  await merge({ base, adapters: [{ path: adapter }], out, workers: 1 });
  const tensor = openSafetensors(out).tensors.get(name);
  if (tensor === undefined) throw new Error(name);
  const values = [...numbersOf(tensor)];
  return tensor.shape.length === 1 ? values : values.filter((_, index) => index % 3 === 0);
}

describe("the last modulation of Flux", () => {
  const kohya = (folder: string, bias?: string): string => {
    const path = join(folder, "kohya.safetensors");
    writeTensors(path, {
      ...factors("lora_unet_final_layer_adaLN_modulation_1", 4, bias),
      ...factors("lora_unet_single_blocks_0_linear2", 3),
    });
    return path;
  };

  test("keeps its halves in original models and changes them in those of diffusers", async () => {
    const folder = temporaryFolder();
    const adapter = kohya(folder, "diff_b");
    const bases = [
      writeBase(folder, "original", ORIGINAL, OTHER[0]),
      writeBase(folder, "diffusers", DIFFUSERS, OTHER[1]),
    ];
    const column = (base: number, name: string) =>
      firstColumn(bases[base] ?? "", adapter, join(folder, `${base}-${name}.safetensors`), name);
    expect(await column(0, `${ORIGINAL}.weight`)).toEqual([1, 2, 3, 4]);
    expect(await column(1, `${DIFFUSERS}.weight`)).toEqual([3, 4, 1, 2]);
    expect(await column(0, `${ORIGINAL}.bias`)).toEqual([10, 20, 30, 40]);
    expect(await column(1, `${DIFFUSERS}.bias`)).toEqual([30, 40, 10, 20]);
  });

  test("changes them on the way to diffusers' names, and back", async () => {
    const folder = temporaryFolder();
    const path = kohya(folder);
    const [there, back] = [join(folder, "there.safetensors"), join(folder, "back.safetensors")];
    await convert({ input: path, to: "diffusers", out: there });
    await convert({ input: there, to: "kohya", out: back });
    const up = (file: string, name: string) => {
      const tensor = openSafetensors(file).tensors.get(name);
      return tensor && [...numbersOf(tensor)];
    };
    expect(up(there, `transformer.${DIFFUSERS}.lora_B.weight`)).toEqual([3, 4, 1, 2]);
    expect(up(back, "lora_unet_final_layer_adaLN_modulation_1.lora_up.weight")).toEqual([1, 2, 3, 4]);
    const base = writeBase(folder, "diffusers", DIFFUSERS, OTHER[1]);
    for (const [index, adapter] of [path, there, back].entries()) {
      const out = join(folder, `merged-${index}.safetensors`);
      expect(await firstColumn(base, adapter, out, `${DIFFUSERS}.weight`)).toEqual([3, 4, 1, 2]);
    }
  });

  test("is refused for products whose rows are not one tensor's", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "lokr.safetensors");
    const name = "lora_unet_final_layer_adaLN_modulation_1";
    writeTensors(path, { [`${name}.lokr_w1`]: { shape: [2, 1] }, [`${name}.lokr_w2`]: { shape: [2, 3] } });
    const base = writeBase(folder, "diffusers", DIFFUSERS, OTHER[1]);
    const out = join(folder, "out.safetensors");
    const error = await errorOfBuilt(() => merge({ base, adapters: [{ path }], out, workers: 1 }));
    expect(error.code).toMatch(/UNSUPPORTED_ADAPTER|ADAPTER_MISMATCH/);
    expect(error.message).toMatch(/halves/);
  });
});
