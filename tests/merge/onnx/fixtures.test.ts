/**
 * Graphs as PyTorch's exporters write them, merged by the built package: ONNX Runtime computes what PEFT's unmerged model
 * does, and what no adapter touches stays byte for byte.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { merge, verify } from "lora-tool";
import { describe, expect, test } from "vitest";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import type { OnnxModel } from "../../../src/formats/onnx/model.ts";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import { adaptersOf, caseOf, distanceFromPeft, unpackGraph } from "../../support/onnx-merge.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const FOLDER = join(import.meta.dirname, "../../../fixtures/onnx-merge");

const graphs = readdirSync(FOLDER).flatMap((name) =>
  ["torchscript", "dynamo"]
    .filter((graph) => existsSync(join(FOLDER, name, `${graph}.onnx.gz`)))
    .map((graph) => [name, graph] as const),
);

/** The model without what a merge must change: metadata and the constants that get other values. */
function unchangedParts(model: OnnxModel, changed: ReadonlySet<string>) {
  const constants = [...model.constants.values()].filter(({ key }) => !changed.has(key));
  return {
    opsets: [...model.opsetImports],
    metadata: [...model.metadata].filter(([key]) => key !== "lora_tool"),
    inputs: model.graph.inputs.map(({ name }) => name),
    outputs: model.graph.outputs.map(({ name }) => name),
    nodes: model.graph.nodes.map(({ name, opType, outputs }) => [name, opType, outputs]),
    constants: constants.map(({ key, tensor: { data } }) => [
      key,
      data.dtype,
      data.shape,
      Buffer.from(readTensorBytes(data)).toString("hex"),
    ]),
  };
}

describe.each(graphs)("%s, %s", (name, graph) => {
  test(caseOf(name).description, async () => {
    // One of the exporters has the settings beside the graph, the other has to do without.
    const base = unpackGraph(name, graph, graph === "torchscript");
    const out = join(temporaryFolder(), "merged.onnx");
    const before = readdirSync(dirname(base)).map((file) => readFileSync(join(dirname(base), file)));
    const options = { base, adapters: adaptersOf(name), workers: 1 };
    const report = await merge({ ...options, out, verify: true });
    expect(report.verification?.passed).toBe(true);
    expect(await distanceFromPeft(name, out)).toBeLessThan(1e-4);
    expect((await verify({ ...options, merged: out })).passed).toBe(true);
    expect(readdirSync(dirname(base)).map((file) => readFileSync(join(dirname(base), file)))).toEqual(before);

    const [original, merged] = [openOnnx(base), openOnnx(out)];
    const differs = (key: string) => {
      const [a, b] = [original, merged].map((model) => model.constants.get(key)?.tensor.data);
      return a === undefined || b === undefined || Buffer.compare(readTensorBytes(a), readTensorBytes(b)) !== 0;
    };
    const changed = new Set([...merged.constants.keys()].filter(differs));
    expect(changed.size).toBeGreaterThan(0);
    expect(changed.size).toBeLessThanOrEqual(report.tensors.merge + report.tensors.replace);
    expect(unchangedParts(merged, changed)).toEqual(unchangedParts(original, changed));
  });
});

test("two runs write the same bytes, whatever the number of workers", async () => {
  const base = unpackGraph("llama-dora-rslora", "dynamo", false);
  const runs = [1, 3].map(async (workers) => {
    const folder = temporaryFolder();
    await merge({ base, adapters: adaptersOf("llama-dora-rslora"), out: join(folder, "m.onnx"), workers });
    return readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]);
  });
  const [first, second] = await Promise.all(runs);
  expect(first).toEqual(second);
  expect(first?.map(([name]) => name)).toEqual(["m.onnx", "m.onnx_data"]);
});
