/** Random graphs around one layer: whatever else they hold comes out byte for byte. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { merge } from "lora-tool";
import { expect, test } from "vitest";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import { OnnxEditor } from "../../../src/formats/onnx/editor.ts";
import { openOnnx } from "../../../src/formats/onnx/reader.ts";
import {
  type Bytes,
  concat,
  fixed32,
  int,
  intAttribute,
  modelBytes,
  nodeBytes,
  sub,
  tensorBytes,
  valueBytes,
} from "../../formats/onnx/build.ts";
import { write } from "../../formats/onnx/open.ts";
import { temporaryFile, temporaryFolder } from "../../support/temporary-folder.ts";
import { pair, V, writeAdapter } from "../small-model.ts";
import { constant, named } from "./small-graph.ts";

/** Element types of one and two bytes. */
const constants = fc.uniqueArray(
  fc.record({
    name: fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" }),
    type: fc.constantFrom(2, 3, 10, 16),
    values: fc.uint8Array({ maxLength: 300 }),
  }),
  { selector: ({ name }) => name, maxLength: 8 },
);
const unknown = fc.array(
  fc.oneof(
    fc.integer().map((value) => int(4_001, value)),
    fc.string({ maxLength: 30 }).map((text) => sub(4_000, text)),
    fc.float({ noNaN: true }).map((value) => fixed32(4_002, value)),
  ),
  { maxLength: 3 },
);

test("constants, nodes, metadata and fields that nobody knows", async () => {
  const adapters = [{ path: writeAdapter(temporaryFolder(), pair(V), { target_modules: ["v_proj"] }) }];
  await fc.assert(
    fc.asyncProperty(constants, unknown, fc.boolean(), async (others, extra, isOutside) => {
      const tensors = others.map(({ name, type, values }) => {
        const width = type > 3 ? 2 : 1;
        const raw: Bytes = Uint8Array.from(values.subarray(0, values.length - (values.length % width)));
        return tensorBytes({ name, dims: [raw.length / width], type, raw, extra });
      });
      const bytes = modelBytes({
        tensors: [...tensors, constant({ name: `${V}.weight`, shape: [6, 8] })],
        nodes: [
          concat(named("/v/Gemm", "Gemm", ["x", `${V}.weight`], "a", intAttribute("transB", 1)), ...extra),
          nodeBytes("Identity", ["a"], ["y"]),
        ],
        inputs: [concat(valueBytes("x", 1, ["n", 8]), ...extra)],
        outputs: [valueBytes("y", 1, ["n", 6])],
        extra,
        model: [sub(14, sub(1, "author"), sub(2, "someone"), ...extra), ...extra],
      });
      let base = temporaryFile("model.onnx", bytes);
      if (isOutside) {
        const editor = new OnnxEditor(openOnnx(base));
        editor.moveToExternalData(16);
        base = join(write(editor).folder, "model.onnx");
      }
      const out = join(temporaryFolder(), "model.onnx");
      await merge({ base, adapters, out, map: { [V]: `${V}.weight` }, workers: 1 });

      const [before, after] = [base, out].map((path) => openOnnx(path));
      for (const { key, tensor } of before?.constants.values() ?? []) {
        const found = after?.constants.get(key)?.tensor.data;
        if (key === `${V}.weight`) expect(found?.shape).toEqual([6, 8]);
        else expect(found && Buffer.from(readTensorBytes(found)).equals(readTensorBytes(tensor.data))).toBe(true);
      }
      // With the old weight back, all but the provenance at the end is the old file.
      const plain = new OnnxEditor(openOnnx(out));
      const weight = before?.constants.get(`${V}.weight`)?.tensor.data;
      if (weight === undefined) throw new Error("no weight");
      plain.setTensor(`${V}.weight`, {
        dtype: "f32",
        shape: [6, 8],
        source: { kind: "memory", bytes: readTensorBytes(weight) },
      });
      const restored = write(plain).file();
      const original = readFileSync(base);
      expect(restored.subarray(0, original.length).equals(original)).toBe(true);
    }),
    { numRuns: 12 },
  );
});
