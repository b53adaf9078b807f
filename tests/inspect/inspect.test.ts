/** `inspect` of what a base can be named by. */

import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "lora-tool";
import { expect, it } from "vitest";
import { temporaryFolder } from "../support/temporary-folder.ts";

const STORIES = join(import.meta.dirname, "../../fixtures/stories260K");
const SHARDED = `${STORIES}-sharded-bf16`;

it("shows a model by its shard index as by its folder", async () => {
  const path = join(SHARDED, "model.safetensors.index.json");
  expect(await inspect({ path })).toEqual({ ...(await inspect({ path: SHARDED })), path });
});

it.each([
  [{ quantization_config: { quant_method: "awq" } }, "awq"],
  [{ quantization: { group_size: 64, bits: 4 } }, "quantization"],
  [{}, undefined],
])("says of a model with %j in its config that its weights are quantised: %s", async (config, quantised) => {
  const folder = temporaryFolder();
  cpSync(join(STORIES, "model.safetensors"), join(folder, "model.safetensors"));
  writeFileSync(join(folder, "config.json"), JSON.stringify({ model_type: "llama", ...config }));
  const report = await inspect({ path: folder });
  expect(report.kind === "model" && report.quantised).toBe(quantised);
});
