/**
 * Proof that a device computes, and whether it does with constants in f16: one addition each, compiled so that the processor
 * may not stand in, and its result checked.
 */

import { DTYPE_ELEMENT_TYPES } from "../formats/onnx/element-type.ts";
import type { Graph } from "../formats/onnx/graph.ts";
import type { Engine, Program } from "./engine.ts";
import type { EngineTensors } from "./tensor.ts";

const SHAPE = [4];

/** 10, 20, 30, 40 */
const F16_NUMBERS = Uint16Array.of(0x4900, 0x4d00, 0x4f80, 0x5100);

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

/** `b` is a constant in f16 that a Cast widens. */
const F16_PROBE: Graph = {
  ...PROBE,
  name: "probe-f16",
  nodes: [
    {
      name: "",
      opType: "Cast",
      domain: "",
      inputs: ["narrow"],
      outputs: ["b"],
      attributes: new Map([["to", { kind: "int", value: BigInt(DTYPE_ELEMENT_TYPES.f32) }]]),
    },
    ...PROBE.nodes,
  ],
  initialisers: new Map([
    [
      "narrow",
      {
        name: "narrow",
        dtype: "f16",
        shape: SHAPE,
        byteLength: F16_NUMBERS.byteLength,
        source: { kind: "memory", bytes: new Uint8Array(F16_NUMBERS.buffer) },
      },
    ],
  ]),
  inputs: PROBE.inputs.slice(0, 1),
};

/** Leaves its program open. Throws what the device throws, or an error when it computes something else. */
export async function proveDevice(compile: Engine["compile"]): Promise<void> {
  const sum = await addWith(await compile(PROBE), PROBE);
  if (sum !== SUM) throw new Error(`it computes 1+10, 2+20, 3+30, 4+40 as ${sum}`);
}

/** Whether a constant in f16 is widened by the device. */
export async function provesF16(compile: Engine["compile"]): Promise<boolean> {
  try {
    const program = await compile(F16_PROBE);
    const sum = await addWith(program, F16_PROBE);
    await program.close();
    return sum === SUM;
  } catch {
    // Each provider says in its own way, when it compiles or when it runs, that it has no kernel for the Cast.
    return false;
  }
}

const SUM = "11,22,33,44";

async function addWith(program: Program, { inputs }: Graph): Promise<string> {
  const feeds: EngineTensors = new Map([
    ["a", { dtype: "f32", shape: SHAPE, data: Float32Array.of(1, 2, 3, 4) }],
    ["b", { dtype: "f32", shape: SHAPE, data: Float32Array.of(10, 20, 30, 40) }],
  ]);
  const fed = new Map([...feeds].filter(([name]) => inputs.some((input) => input.name === name)));
  return String((await program.run(fed)).get("sum")?.data);
}
