import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LoraToolError } from "../../../src/core/errors.ts";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import { OnnxEditor } from "../../../src/formats/onnx/editor.ts";
import type { OnnxModel } from "../../../src/formats/onnx/model.ts";
import { toGraph } from "../../../src/formats/onnx/to-graph.ts";
import { findWeightUses } from "../../../src/formats/onnx/weight-uses.ts";
import {
  type Bytes,
  floats,
  graphAttribute,
  graphBytes,
  int,
  modelBytes,
  nodeBytes,
  sub,
  tensorAttribute,
  tensorBytes,
  unknownFieldsModel,
  valueBytes,
} from "./build.ts";
import { openBytes, write } from "./open.ts";

const inner = graphBytes({
  tensors: [tensorBytes({ raw: floats(1) })],
  nodes: [nodeBytes("Neg", ["w"], ["z"])],
  outputs: [valueBytes("z")],
});
const SEEDS: readonly Bytes[] = [
  unknownFieldsModel(),
  modelBytes({
    nodes: [
      nodeBytes("If", ["c"], ["y"], graphAttribute("then_branch", inner)),
      nodeBytes(
        "Constant",
        [],
        ["k"],
        tensorAttribute("value", tensorBytes({ dims: [3], type: 22, extra: [sub(5, Uint8Array.of(0x21, 3))] })),
      ),
    ],
    model: [sub(25, sub(1, "f"), sub(9, int(2, 1)), sub(7, nodeBytes("Neg", ["a"], ["b"])))],
  }),
];

/** What can go wrong in a copy: bytes changed, cut, doubled or put in. */
const damage = fc.array(
  fc.record({
    kind: fc.constantFrom("set", "flip", "cut", "insert", "double"),
    at: fc.nat(),
    byte: fc.integer({ min: 0, max: 255 }),
    length: fc.integer({ min: 1, max: 12 }),
  }),
  { minLength: 1, maxLength: 6 },
);

describe("damaged models", () => {
  test("are refused with a typed error, or are read and written again byte for byte", () => {
    let read = 0;
    fc.assert(
      fc.property(fc.constantFrom(...SEEDS), damage, (seed, changes) => {
        let bytes = [...seed];
        for (const { kind, at, byte, length } of changes) {
          const place = at % (bytes.length + 1);
          if (kind === "set") bytes[place] = byte;
          else if (kind === "flip") bytes[place] = (bytes[place] ?? 0) ^ (1 << (byte % 8));
          else if (kind === "cut") bytes.splice(place, length);
          else if (kind === "insert") bytes.splice(place, 0, ...Array<number>(length).fill(byte));
          else bytes = [...bytes.slice(0, place + length), ...bytes.slice(place)];
        }
        const damaged = Uint8Array.from(bytes);
        let model: OnnxModel;
        try {
          model = openBytes(damaged);
        } catch (error) {
          expect(error).toBeInstanceOf(LoraToolError);
          return;
        }
        read++;
        expect(write(new OnnxEditor(model)).file().equals(damaged)).toBe(true);
        for (const use of [() => toGraph(model), () => findWeightUses(model), () => readAll(model)]) {
          try {
            use();
          } catch (error) {
            expect(error).toBeInstanceOf(LoraToolError);
          }
        }
      }),
      { numRuns: 400 },
    );
    expect(read).toBeGreaterThan(20);
  });

  test("are edited without harm to the rest, wherever the edit is", () => {
    const name = fc.string({ minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(name, fc.uint8Array({ maxLength: 400 }), (input, payload) => {
        const model = openBytes(unknownFieldsModel());
        const editor = new OnnxEditor(model);
        const [node] = model.graph.nodes;
        if (node === undefined) throw new Error("expected a node");
        editor.setInput(node, 0, input);
        editor.setTensor("w", { dtype: "u8", shape: [payload.length], source: { kind: "memory", bytes: payload } });
        const after = write(editor).open();
        expect(after.graph.nodes[0]?.inputs).toEqual([new TextDecoder().decode(new TextEncoder().encode(input)), "w"]);
        const tensor = after.store.tensors.get("w");
        expect(tensor && Uint8Array.from(readTensorBytes(tensor))).toEqual(Uint8Array.from(payload));
      }),
      { numRuns: 100 },
    );
  });
});

describe("models of the onnx package", () => {
  const folder = join(import.meta.dirname, "../../../fixtures/onnx");
  // For each file its constants by key: dtype, shape and SHA-256 of the values, as onnx reads them.
  const expected: Record<string, Record<string, [string, number[], string]>> = JSON.parse(
    readFileSync(join(folder, "tensors.json"), "utf8"),
  );

  test.each(Object.entries(expected))(
    "%s has the tensors that the package reads, and is written byte for byte",
    (file, tensors) => {
      const bytes = readFileSync(join(folder, file));
      const model = openBytes(bytes);
      const found = [...model.store.tensors.values()].map((tensor) => {
        const digest = createHash("sha256").update(readTensorBytes(tensor)).digest("hex");
        return [tensor.name, [tensor.dtype, tensor.shape, digest]];
      });
      expect(Object.fromEntries(found)).toEqual(tensors);
      expect(write(new OnnxEditor(model)).file().equals(bytes)).toBe(true);
    },
  );

  test("are all there", () => {
    const files = readdirSync(folder).filter((name) => name.endsWith(".onnx"));
    expect(files.sort()).toEqual(Object.keys(expected).sort());
    expect(files.length).toBeGreaterThan(20);
  });
});

function readAll({ store }: OnnxModel): void {
  for (const tensor of store.tensors.values()) readTensorBytes(tensor);
}
