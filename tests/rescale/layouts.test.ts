/**
 * Adapters of other layouts, rescaled in their own: the scale that readers of the layout compute is the one that was meant, and
 * the merged model is what the original must give.
 */

import { readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { inspect, rescale } from "lora-tool";
import { describe, expect, test } from "vitest";
import { caseOf, expectSameMerge } from "../convert/cases.ts";
import { errorOfBuilt } from "../support/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

type Options = Partial<Omit<Parameters<typeof rescale>[0], "adapter" | "out">>;

async function rescaled(name: string, options: Options) {
  const one = caseOf(name);
  const folder = temporaryFolder();
  const out = join(folder, `out${extname(one.adapter)}`);
  const report = await rescale({ adapter: one.adapter, out, to: "lora", ...options });
  return { one, folder, out, report };
}

const weightsOf = (path: string) =>
  extname(path) === "" ? readFileSync(join(path, "adapters.safetensors")) : readFileSync(path);

describe.each(["kohya/lora", "kohya/loha", "diffusers/no-alpha", "mlx/lora", "gguf/llama", "onnx-adapter/lora"])(
  "%s",
  (name) => {
    test("stays as it is under either convention: its readers know one", async () => {
      for (const to of ["lora", "rslora"] as const) {
        const { one, out, report } = await rescaled(name, { to });
        expect(report).toMatchObject({ from: "lora", to, convention: "lora", weights: "same" });
        expect(weightsOf(out).equals(weightsOf(one.adapter))).toBe(true);
        expect(report.notes.join()).toContain(to === "rslora" ? "no flag for rsLoRA" : "");
        for (const module of report.modules) expect(module.scaleAfter).toBe(module.scaleBefore);
      }
    });
  },
);

describe.each<[name: string, options: Options, scales: readonly number[]]>([
  ["kohya/lora", { bake: true }, [1]],
  ["kohya/lora", { alpha: 6 }, [3, 2]],
  ["kohya/lora", { to: "rslora", bake: true, flatten: true }, [1]],
  ["kohya/dora", { to: "rslora", alpha: 8 }, [Math.fround(8 * Math.SQRT2) / 2]],
  ["kohya/locon-tucker", { bake: true }, [1]],
  ["diffusers/metadata", { to: "lora" }, [4, 3 / Math.SQRT2]],
  ["diffusers/metadata", { to: "rslora", bake: true, flatten: true }, [1]],
  ["diffusers/metadata", { to: "rslora", alpha: 4 }, [2, 4 / Math.SQRT2]],
  ["diffusers/old-names", { alpha: 4 }, [4 / 3]],
  ["diffusers/no-part", { bake: true }, [1]],
  ["diffusers/xlabs", { alpha: 4 }, [2]],
  ["mlx/lora", { bake: true }, [1]],
  ["mlx/dora", { alpha: 5 }, [2.5]],
  ["mlx/experts", { to: "rslora", alpha: 4 }, [4 / Math.SQRT2]],
  ["gguf/llama", { alpha: 6 }, [3, 2]],
  ["gguf/experts", { bake: true }, [1]],
  ["gguf/llama", { bake: true, flatten: true }, [1]],
  ["gguf/llama-heads", { to: "rslora", alpha: 3 }, [Math.fround((3 / Math.SQRT2) * 2) / 2]],
  ["onnx-adapter/lora", { bake: true, flatten: true }, [1]],
])("%s with %o", (name, options, scales) => {
  test("has these scales, the same deltas, and does not change again", async () => {
    const { one, folder, out, report } = await rescaled(name, options);
    const read = await inspect({ path: out });
    const found = read.kind === "adapter" ? read.modules.map((module) => module.scale) : [];
    expect(new Set(found)).toEqual(new Set(scales));
    expect(report.modules.map((module) => module.scaleAfter)).toEqual(found);
    await expectSameMerge(one, out, join(folder, "merged"));
    const again = join(folder, `again${extname(out)}`);
    await rescale({ adapter: out, out: again, to: "lora", ...options });
    expect(weightsOf(again).equals(weightsOf(out))).toBe(true);
  });
});

describe("is refused", () => {
  test.each<[name: string, options: Options, code: string, reason: string]>([
    ["gguf/llama", { bake: true }, "UNSUPPORTED_ADAPTER", "GGUF has one alpha for all modules, which have ranks 2, 3"],
    ["onnx-adapter/lora", { alpha: 4 }, "INVALID_OPTION", "holds no alpha"],
    ["kohya/loha", { bake: true }, "UNSUPPORTED_ADAPTER", "only scales of LoRA can be folded, this is loha"],
    ["kohya/locon-tucker", { bake: true, flatten: true }, "UNSUPPORTED_ADAPTER", "the core of a Tucker decomposition"],
  ])("%s with %o", async (name, options, code, reason) => {
    const error = await errorOfBuilt(() => rescaled(name, options));
    expect(error.code).toBe(code);
    expect(error.message).toContain(reason);
  });

  test("a name that says that the output is something else", async () => {
    const adapter = caseOf("kohya/lora").adapter;
    const out = join(temporaryFolder(), "out.gguf");
    const error = await errorOfBuilt(() => rescale({ adapter, out, to: "lora" }));
    expect(error).toMatchObject({ code: "INVALID_OPTION", subject: out });
  });
});
