/** VeRA through the whole program: factors of rows, and of columns where the base stores [in, out]. */

import { join } from "node:path";
import { merge, verify } from "lora-tool/merge";
import { expect, test } from "vitest";
import { openModel } from "../../../src/formats/open-model.ts";
import { numbersOf } from "../../support/read-tensor.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { writeAdapter, writeBase } from "../small-model.ts";

const NAME = "h.0.mlp.c_proj";
const [RANK, IN, OUT, MOST_IN, MOST_OUT] = [2, 5, 3, 7, 4];
const wave = (phase: number) => (index: number) => Math.fround(Math.sin(index + phase));

test.each([
  ["llama", [OUT, IN]],
  ["gpt2", [IN, OUT]],
] as const)("multiplies the outputs of VeRA in a base of type %s", async (type, shape) => {
  const [w, a, b, d, l] = [wave(1), wave(2), wave(3), wave(4), wave(5)];
  const folder = temporaryFolder();
  const base = writeBase(folder, { [`${NAME}.weight`]: { shape, value: w } }, { model_type: type });
  const tensors = {
    "base_model.vera_A": { shape: [RANK, MOST_IN], value: a },
    "base_model.vera_B": { shape: [MOST_OUT, RANK], value: b },
    [`base_model.model.${NAME}.vera_lambda_d`]: { shape: [RANK], value: d },
    [`base_model.model.${NAME}.vera_lambda_b`]: { shape: [OUT], value: l },
  };
  const settings = { peft_type: "VERA", lora_alpha: undefined, target_modules: ["c_proj"] };
  const adapters = [{ path: writeAdapter(folder, tensors, settings), weight: 0.5 }];
  const out = join(folder, "out");
  await merge({ base, adapters, out, workers: 1 });

  const merged = (await openModel(out)).store.tensors.get(`${NAME}.weight`);
  if (merged === undefined) throw new Error("nothing was written");
  for (const [index, value] of numbersOf(merged).entries()) {
    const [row, column] = [Math.floor(index / shape[1]), index % shape[1]];
    const [i, j] = type === "gpt2" ? [column, row] : [row, column];
    let sum = 0;
    for (let k = 0; k < RANK; k++) sum += b(i * RANK + k) * d(k) * a(k * MOST_IN + j);
    expect(value).toBeCloseTo(w(index) + 0.5 * l(i) * sum, 6);
  }
  expect((await verify({ base, adapters, merged: out, workers: 1 })).passed).toBe(true);
});
