/** `inspect` of what a base can be named by. */

import { join } from "node:path";
import { inspect } from "lora-tool";
import { expect, it } from "vitest";

const SHARDED = join(import.meta.dirname, "../../fixtures/stories260K-sharded-bf16");

it("shows a model by its shard index as by its folder", async () => {
  const path = join(SHARDED, "model.safetensors.index.json");
  expect(await inspect({ path })).toEqual({ ...(await inspect({ path: SHARDED })), path });
});
