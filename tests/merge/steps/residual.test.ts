/** What an initialisation took out of a base that cannot be decomposed. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { merge } from "lora-tool/merge";
import { expect, test } from "vitest";
import { errorOfBuilt } from "../../support/errors.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { BASE_TENSORS, Q, writeAdapter, writeBase } from "../small-model.ts";

test.each(
  ["pissa", "olora"].flatMap((init) =>
    [Number.NaN, Number.POSITIVE_INFINITY].map((value): [string, number] => [init, value]),
  ),
)("of %s is refused by name where the base holds %d", async (init, value) => {
  const folder = temporaryFolder();
  const bad = { shape: [6, 8], value: (index: number) => (index === 7 ? value : index / 8) };
  const base = writeBase(folder, { ...BASE_TENSORS, [`${Q}.weight`]: bad });
  const adapters = [{ path: writeAdapter(folder, undefined, { init_lora_weights: init }) }];
  const error = await errorOfBuilt(() => merge({ base, adapters, out: join(folder, "out"), workers: 1 }));
  expect([error.name, error.code, error.subject]).toEqual(["NonFiniteError", "NON_FINITE", `${Q}.weight`]);
  expect(error.file).toBe(join(base, "model.safetensors"));
  expect(error.message).toContain("1 of 48 weights are not finite");
  expect(readdirSync(folder).sort()).toEqual(["adapter", "base"]);
});
