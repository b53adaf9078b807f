/**
 * Resizing an adapter of rank 256 on all linear layers of a 7 B Llama (224 modules), beside a durable copy of its weights.
 *
 * Its directions fall off as trained ones do, so that the factors are as badly conditioned as those.
 */

import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { encodeHeader } from "lora-tool/formats";
import { durableCopy } from "./durable-copy.js";
import { CACHE, make } from "./model.js";

const RANK = 256;
const LAYERS = 32;
const [HIDDEN, MLP] = [4096, 11_008];
const LINEARS = [
  ["self_attn.q_proj", HIDDEN, HIDDEN],
  ["self_attn.k_proj", HIDDEN, HIDDEN],
  ["self_attn.v_proj", HIDDEN, HIDDEN],
  ["self_attn.o_proj", HIDDEN, HIDDEN],
  ["mlp.gate_proj", MLP, HIDDEN],
  ["mlp.up_proj", MLP, HIDDEN],
  ["mlp.down_proj", HIDDEN, MLP],
];

export async function run([rank = "64"]) {
  const folder = adapter7b();
  const weights = join(folder, "adapter_model.safetensors");
  const copy = durableCopy(weights);
  const out = join(CACHE, "resized");
  rmSync(out, { recursive: true, force: true });
  const child = join(import.meta.dirname, "resize-child.js");
  const { seconds, cpuSeconds, peakBytes, error } = JSON.parse(
    execFileSync(process.execPath, [child, folder, out, rank], { encoding: "utf8" }),
  );
  rmSync(out, { recursive: true, force: true });
  console.log(
    `rank ${RANK} to ${rank}, ${(statSync(weights).size / 1e9).toFixed(2)} GB: ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(0)} s ` +
      `of processor, durable copy ${copy.toFixed(1)} s, peak ${(peakBytes / 1e6).toFixed(0)} MB, error ${error.toPrecision(2)}`,
  );
}

function adapter7b() {
  const folder = join(CACHE, "adapter-7b-r256");
  return make(folder, () => {
    const entries = [];
    for (let layer = 0; layer < LAYERS; layer++) {
      for (const [name, outputs, inputs] of LINEARS) {
        const prefix = `base_model.model.model.layers.${layer}.${name}`;
        entries.push(
          { name: `${prefix}.lora_A.weight`, dtype: "f32", shape: [RANK, inputs] },
          { name: `${prefix}.lora_B.weight`, dtype: "f32", shape: [outputs, RANK] },
        );
      }
    }
    const fd = openSync(join(folder, "adapter_model.safetensors"), "w");
    writeSync(fd, encodeHeader(entries, new Map([["format", "pt"]])));
    // One piece for each shape, turned a little for each module.
    const noise = Float32Array.from({ length: RANK * MLP + 4096 }, () => (Math.random() - 0.5) * 0.07);
    for (const [index, { shape }] of entries.entries()) {
      const [rows, columns] = shape;
      const values = noise.slice(index, index + rows * columns);
      // Columns of `lora_B` fall off over four orders of magnitude.
      if (columns === RANK) for (let at = 0; at < values.length; at++) values[at] *= 10 ** ((-4 * (at % RANK)) / RANK);
      writeSync(fd, new Uint8Array(values.buffer));
    }
    closeSync(fd);
    const settings = {
      peft_type: "LORA",
      r: RANK,
      lora_alpha: 512,
      target_modules: LINEARS.map(([name]) => name.split(".")[1]),
    };
    writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(settings));
  });
}
