/** An adapter that is large enough to be written by worker threads: the bytes are those of the formula all the same. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rescale } from "lora-tool";
import { writeSafetensors } from "lora-tool/formats";
import { expect, test } from "vitest";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const MODULES = 5;
const [RANK, SIDE] = [1024, 2048];

test("folds scales in threads and pads nothing else", async () => {
  const folder = temporaryFolder();
  const adapter = join(folder, "adapter");
  mkdirSync(adapter);
  const numbers = Float32Array.from({ length: RANK * SIDE }, (_, at) => Math.sin(at));
  const bytes = new Uint8Array(numbers.buffer);
  const tensors = Array.from({ length: MODULES }, (_, module) => [
    { name: `base_model.model.l.${module}.q.lora_A.weight`, dtype: "f32" as const, shape: [RANK, SIDE], bytes },
    { name: `base_model.model.l.${module}.q.lora_B.weight`, dtype: "f32" as const, shape: [SIDE, RANK], bytes },
  ]).flat();
  const weights = join(adapter, "adapter_model.safetensors");
  writeSafetensors(weights, tensors, new Map());
  const settings = { peft_type: "LORA", r: RANK, lora_alpha: 3 * RANK, target_modules: ["q"] };
  writeFileSync(join(adapter, "adapter_config.json"), JSON.stringify(settings));

  const out = join(folder, "out");
  const events: number[] = [];
  const onProgress = ({ done }: { readonly done: number }) => void events.push(done);
  const { result } = await rescale({ adapter, to: "lora", bake: true, out, onProgress });
  expect(result?.elements).toBe(MODULES * RANK * SIDE);
  expect(events.toSorted((a, b) => a - b)).toEqual(events);

  const file = readFileSync(join(out, "adapter_model.safetensors"));
  const tripled = Buffer.from(numbers.map((value) => 3 * value).buffer);
  for (const { name, source, byteLength } of openSafetensors(join(out, "adapter_model.safetensors")).tensors.values()) {
    const start = source.kind === "file" ? source.offset : 0;
    const wanted = name.includes("lora_A") ? Buffer.from(bytes.buffer) : tripled;
    expect(file.subarray(start, start + byteLength).equals(wanted), name).toBe(true);
  }
});
