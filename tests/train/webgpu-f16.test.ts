/** Training on WebGPU with the base's matrices in f16; on Mesa's lavapipe (25 or newer), where there is no GPU. */

import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { merge } from "lora-tool";
import { expect, it } from "vitest";
import { openEngine } from "../../src/engine/engine.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { distance, metricsOf, numbers, run, TINY } from "./run-fixture.ts";

const LAVAPIPE = "/usr/share/vulkan/icd.d/lvp_icd.json";

if (existsSync(LAVAPIPE)) {
  // Read by the Vulkan loader when the device opens.
  process.env["VK_ICD_FILENAMES"] ??= LAVAPIPE;
  process.env["XDG_RUNTIME_DIR"] ??= mkdtempSync(join(tmpdir(), "lora-tool-xdg-"));
}

const engine = await openEngine({ device: "webgpu" }).catch(() => undefined);
const keepsF16 = engine?.keepsF16 ?? false;
await engine?.close();

it.for(["f16", "bf16"] as const)(
  "gives the losses and tensors of the processor from a base in %s",
  async (dtype, context) => {
    context.skip(!keepsF16, "no WebGPU adapter with f16; on Debian install mesa-vulkan-drivers 25");
    const folder = temporaryFolder();
    const [base, there, here] = [join(folder, "base"), join(folder, "webgpu"), join(folder, "cpu")];
    const adapter = join(folder, "adapter");
    await run(adapter, { steps: 1 });
    await merge({ base: TINY, adapters: [{ path: adapter }], out: base, dtype, allowUnchanged: true });
    // DoRA reads the weights for its norms, too, and the head is trained whole.
    const options = {
      base,
      steps: 3,
      batchSize: 2,
      dora: true,
      targetModules: "q_proj,down_proj",
      modulesToSave: ["lm_head"],
    };
    await run(there, { ...options, device: "webgpu" });
    await run(here, options);
    const losses = metricsOf(here).map(({ loss }) => loss);
    for (const [index, { loss }] of metricsOf(there).entries()) {
      expect(Math.abs(loss / (losses[index] ?? 0) - 1)).toBeLessThan(1e-4);
    }
    expect(distance(numbers(there), numbers(here))).toBeLessThan(1e-4);
  },
);
