/**
 * Proof that a device computes: one addition, compiled so that the processor may not stand in, and its result checked.
 */

import type { Graph } from "../formats/onnx/graph.ts";
import type { Engine } from "./engine.ts";
import type { EngineTensors } from "./tensor.ts";

const SHAPE = [4];

const PROBE: Graph = {
  name: "probe",
  nodes: [{ name: "", opType: "Add", domain: "", inputs: ["a", "b"], outputs: ["sum"], attributes: new Map() }],
  initialisers: new Map(),
  inputs: [
    { name: "a", dtype: "f32", shape: SHAPE },
    { name: "b", dtype: "f32", shape: SHAPE },
  ],
  outputs: [{ name: "sum", dtype: "f32", shape: SHAPE }],
  irVersion: 10,
  opsetImports: new Map([["", 20]]),
};

/** Leaves its program open. Throws what the device throws, or an error when it computes something else. */
export async function proveDevice(compile: Engine["compile"]): Promise<void> {
  const program = await compile(PROBE);
  const feeds: EngineTensors = new Map([
    ["a", { dtype: "f32", shape: SHAPE, data: Float32Array.of(1, 2, 3, 4) }],
    ["b", { dtype: "f32", shape: SHAPE, data: Float32Array.of(10, 20, 30, 40) }],
  ]);
  const sum = (await program.run(feeds)).get("sum")?.data;
  if (String(sum) !== "11,22,33,44") throw new Error(`it computes 1+10, 2+20, 3+30, 4+40 as ${String(sum)}`);
}
