/** The origin of a merged model in words, whatever its metadata holds. */

import { expect, test } from "vitest";
import { describeProvenance } from "../../../src/cli/commands/inspect-provenance.ts";

const adapter = {
  files: [{ name: "adapter_model.safetensors", sha256: "7048864f50ad14d2" }],
  method: "rsLoRA",
  weight: 0.5,
  modules: 35,
  scale: [0.5, 2],
};

test("names each adapter with its scale, its weight and its file", () => {
  const text = JSON.stringify({
    version: "0.1.0",
    method: "ties",
    base: [],
    adapters: [adapter, { ...adapter, weight: 1 }],
  });
  const words = "ties: rsLoRA of 35 modules, scale 0.5 … 2";
  const file = "adapter_model.safetensors 7048864f50ad…, by lora-tool 0.1.0";
  expect(describeProvenance(text)).toEqual([`${words}, weight 0.5, ${file}`, `${words}, ${file}`]);
});

test.each([
  ["no JSON", "{"],
  ["a list", "[1]"],
  ["null", "null"],
  ["other keys", '{"version":"1","method":"add"}'],
])("has no words for %s", (_, text) => {
  expect(describeProvenance(text)).toEqual([]);
});

test("escapes what a file says, and takes entries of any kind", () => {
  const text = JSON.stringify({
    version: "1\u001b[2J",
    method: "add\n",
    adapters: [null, 7, { scale: ["x"], files: [3] }],
  });
  const lines = describeProvenance(text);
  expect(lines).toHaveLength(3);
  expect(lines.join("")).not.toMatch(/[\u001b\n]/);
});
