import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { UnsupportedError } from "../../src/core/errors.ts";
import { type Engine, openEngine } from "../../src/engine/engine.ts";
import { openGemm } from "../../src/engine/gemm.ts";
import { graph, node, value } from "./graphs.ts";

/** Debian's chromium brings SwiftShader, a Vulkan driver that computes on the processor. Graphs must stay tiny there. */
const SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json";

if (existsSync(SWIFTSHADER)) {
  // Read by the Vulkan loader when the device opens.
  process.env["VK_ICD_FILENAMES"] ??= SWIFTSHADER;
  process.env["XDG_RUNTIME_DIR"] ??= mkdtempSync(join(tmpdir(), "lora-tool-xdg-"));
}

const engine: Engine | undefined = await openEngine({ device: "webgpu" }).catch((error: unknown) => {
  if (error instanceof UnsupportedError && error.code === "DEVICE_UNAVAILABLE") return undefined;
  throw error;
});

const title = engine === undefined ? "WebGPU (skipped: no adapter; on Debian install chromium)" : "WebGPU";

describe.skipIf(engine === undefined)(title, () => {
  const open = engine as Engine;

  it("says whether its adapter is a GPU", () => {
    expect(open.device.device).toBe("webgpu");
    if (process.env["VK_ICD_FILENAMES"] === SWIFTSHADER) {
      expect(open.device).toEqual({ device: "webgpu", type: "software", adapterName: "SwiftShader" });
    }
  });

  it("multiplies as the processor does", async () => {
    const [m, k, n] = [5, 3, 7];
    const left = Float32Array.from({ length: m * k }, (_, index) => index - 7);
    const right = Float32Array.from({ length: k * n }, (_, index) => 10 - index);
    const targets: Float32Array[] = [];
    const cpu = await openEngine({ device: "cpu", threads: 1 });
    for (const each of [open, cpu]) {
      const target = new Float32Array(m * n).fill(0.5);
      const gemm = openGemm(each);
      await gemm.accumulate({ m, n, k, left, right, target });
      await gemm.close();
      targets.push(target);
    }
    await cpu.close();
    // Small integers and halves: sums are exact in any order.
    expect(targets[0]).toEqual(targets[1]);
  });

  it("lets nodes run on the processor only when that is allowed", async () => {
    const determinant = graph(
      [node("Add", ["x", "x"], ["twice"]), node("Det", ["twice"], ["y"])],
      [value("x", "f32", [2, 2])],
      [value("y", "f32", [])],
    );
    await expect(open.compile(determinant)).rejects.toMatchObject({ code: "UNSUPPORTED_OPERATOR" });
    const program = await open.compile(determinant, { allowCpuNodes: true });
    const x = { dtype: "f32", shape: [2, 2], data: Float32Array.of(1, 0, 0, 3) } as const;
    expect((await program.run(new Map([["x", x]]))).get("y")?.data[0]).toBeCloseTo(12, 4);
    await program.close();
  });

  it("closes", async () => {
    await open.close();
  });
});
