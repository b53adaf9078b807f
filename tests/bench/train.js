/** Training a Llama 576 wide beside torch and PEFT, on the same rows; needs a Python with torch, transformers and peft. */

import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { trainingBase, trainingRows } from "./train-model.js";

const STEPS = 4;

export async function run([python = "python3", ...layers]) {
  const hasPeft = spawnSync(python, ["-c", "import torch, transformers, peft"]).status === 0;
  if (!hasPeft) console.log(`${python} has no torch, transformers and peft: npm run bench -- train <python> [layers…]`);
  const child = join(import.meta.dirname, "train-child.js");
  const script = join(import.meta.dirname, "../../fixtures/generate/bench_train.py");
  for (const count of layers.length > 0 ? layers.map(Number) : [6, 30]) {
    const [base, rows] = [trainingBase(count), trainingRows()];
    const own = (...more) =>
      JSON.parse(execFileSync(process.execPath, [child, base, rows, `${STEPS}`, ...more], { encoding: "utf8" }));
    const show = (name, { tokensPerSecond, peakBytes }) =>
      console.log(
        `${count} layers, ${name}: ${tokensPerSecond.toFixed(0)} tokens/s, ${(peakBytes / 1e6).toFixed(0)} MB`,
      );
    const plain = own();
    show("lora-tool", plain);
    show("lora-tool --checkpoint-blocks", own("--checkpoint-blocks"));
    if (!hasPeft) continue;
    const quiet = { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] };
    const peft = JSON.parse(execFileSync(python, [script, base, rows, `${STEPS}`], quiet));
    show("torch + PEFT", { tokensPerSecond: peft.tokens_per_second, peakBytes: peft.peak_rss_bytes });
    const speed = plain.tokensPerSecond / peft.tokens_per_second;
    const memory = plain.peakBytes / peft.peak_rss_bytes;
    console.log(
      `${count} layers: ${speed.toFixed(2)} × the tokens/s of torch + PEFT at ${memory.toFixed(2)} × its memory`,
    );
  }
}
