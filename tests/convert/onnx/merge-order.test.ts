/** Merging into an exported model and exporting a merged model give the same weights, bit for bit. */

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { convert, merge } from "lora-tool";
import { describe, expect, it } from "vitest";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import { openParameters } from "../../../src/formats/onnx/parameters/open.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { casesOf } from "../cases.ts";

/** One of each kind of layer, of delta, of dtype and of tie. */
const CASES = new Set(
  (
    "llama-lora llama-dora-rslora llama-bf16 llama-f16 llama-sharded bias-all embedding-dora trainable-tokens-tied " +
    "gpt2-lora gpt2-dora gpt2-no-prefix gpt2-tied-wte gpt-neox-head gemma-scaled-tied loha lokr pissa-gpt2 " +
    "modules-to-save-tied-head tied-both tied-embedding-lora tied-lm-head-lora"
  ).split(" "),
);

const FIXTURES = join(import.meta.dirname, "../../../fixtures");

interface Orders {
  /** Merged after it was converted. */
  readonly merged: string;
  /** Converted after it was merged. */
  readonly converted: string;
}

async function bothOrders(base: string, adapter: string): Promise<Orders> {
  const folder = temporaryFolder();
  const [merged, converted] = ["merged", "converted"].map((name) => {
    mkdirSync(join(folder, name));
    return join(folder, name, "model.onnx");
  });
  if (merged === undefined || converted === undefined) throw new Error("no paths");
  const exported = join(folder, "exported.onnx");
  await convert({ input: base, to: "onnx", out: exported });
  await merge({ base: exported, adapters: [{ path: adapter }], out: merged, workers: 1 });
  const checkpoint = join(folder, "checkpoint");
  await merge({ base, adapters: [{ path: adapter }], out: checkpoint, workers: 1 });
  await convert({ input: checkpoint, to: "onnx", out: converted });
  return { merged, converted };
}

/** By the parameters that the nodes compute with: a tied weight may have parted from its other end. */
function contentOf(path: string): Map<string, string> {
  return new Map(
    [...openParameters(path).store.tensors].map(([name, tensor]) => {
      const { dtype, shape } = tensor;
      return [name, `${dtype} [${shape}] ${Buffer.from(readTensorBytes(tensor)).toString("base64")}`];
    }),
  );
}

const cases = casesOf("peft").filter(({ name }) => CASES.has(name.slice("peft/".length)));

describe.each(cases)("$name", ({ base, adapter }) => {
  it("has the same weights in both orders", async () => {
    const { merged, converted } = await bothOrders(base, adapter);
    expect(contentOf(merged)).toEqual(contentOf(converted));
  });
});

describe("a real model", () => {
  it("is the same file of weights in both orders", async () => {
    const { merged, converted } = await bothOrders(
      join(FIXTURES, "stories260K-sharded-bf16"),
      join(FIXTURES, "adapters/shakespeare-lora-r8"),
    );
    const weights = (path: string) => readFileSync(`${path}_data`);
    expect(weights(merged).equals(weights(converted))).toBe(true);
    expect(contentOf(merged)).toEqual(contentOf(converted));
  });
});
