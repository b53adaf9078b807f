/** Training on WebGPU against the processor; on Debian's chromium, with its SwiftShader, where there is no GPU. */

import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UnsupportedError } from "lora-tool";
import { expect, it } from "vitest";
import { exportPath } from "../support/onnx-train.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { distance, metricsOf, numbers, run, TINY } from "./run-fixture.ts";

const SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json";

if (existsSync(SWIFTSHADER)) {
  // Read by the Vulkan loader when the device opens.
  process.env["VK_ICD_FILENAMES"] ??= SWIFTSHADER;
  process.env["XDG_RUNTIME_DIR"] ??= mkdtempSync(join(tmpdir(), "lora-tool-xdg-"));
}

const BASES = [
  ["a model's folder", () => TINY, "q_proj,down_proj"],
  ["an .onnx file", () => exportPath("gpt-neox.opset23"), "query_key_value,dense_4h_to_h"],
] as const;

it.for(BASES)(
  "gives the same losses and tensors on WebGPU to 1e-4 from %s",
  async ([, base, targetModules], context) => {
    const folder = temporaryFolder();
    const [there, here] = [join(folder, "webgpu"), join(folder, "cpu")];
    const options = { steps: 2, batchSize: 2, init: "random", layers: [1], base: base(), targetModules } as const;
    try {
      const report = await run(there, { ...options, device: "webgpu" });
      expect(report.result?.device.device).toBe("webgpu");
    } catch (error) {
      if (!(error instanceof UnsupportedError) || error.code !== "DEVICE_UNAVAILABLE") throw error;
      context.skip("no WebGPU adapter; on Debian install chromium and libvulkan1");
    }
    await run(here, options);
    const losses = metricsOf(here).map(({ loss }) => loss);
    for (const [index, { loss }] of metricsOf(there).entries()) {
      expect(Math.abs(loss / (losses[index] ?? 0) - 1)).toBeLessThan(1e-4);
    }
    expect(distance(numbers(there), numbers(here))).toBeLessThan(1e-4);
  },
);
