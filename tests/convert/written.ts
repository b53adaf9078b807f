/** What a layout's writer makes of an adapter, read back from its bytes, without files. */

import type { Adapter, AdapterModule, Layout } from "../../src/adapters/adapter.ts";
import { diffusersReader } from "../../src/adapters/layouts/diffusers/read.ts";
import { diffusersWriter } from "../../src/adapters/layouts/diffusers/write.ts";
import { ggufReader } from "../../src/adapters/layouts/gguf/read.ts";
import { ggufWriter } from "../../src/adapters/layouts/gguf/write.ts";
import { kohyaReader } from "../../src/adapters/layouts/kohya/read.ts";
import { kohyaWriter } from "../../src/adapters/layouts/kohya/write.ts";
import type { LayoutReader } from "../../src/adapters/layouts/layout-reader.ts";
import type { LayoutWriter } from "../../src/adapters/layouts/layout-writer.ts";
import { mlxReader } from "../../src/adapters/layouts/mlx/read.ts";
import { mlxWriter } from "../../src/adapters/layouts/mlx/write.ts";
import { onnxAdapterReader } from "../../src/adapters/layouts/onnx-adapter/read.ts";
import { onnxAdapterWriter } from "../../src/adapters/layouts/onnx-adapter/write.ts";
import { peftReader } from "../../src/adapters/layouts/peft/read.ts";
import { peftWriter } from "../../src/adapters/layouts/peft/write.ts";
import type { MatrixView } from "../../src/adapters/matrix.ts";
import type { OutputTensor } from "../../src/adapters/output/output-tensor.ts";
import { TensorPieces } from "../../src/adapters/output/tensor-pieces.ts";
import { factorViews } from "../../src/adapters/resolve/factor-views.ts";
import { readNumbers } from "../../src/adapters/resolve/tensor-values.ts";
import { prepareAdapter } from "../../src/convert/prepare.ts";
import { tensorBytes } from "../../src/core/dtype.ts";
import type { JsonObject } from "../../src/core/json.ts";
import { parseJsonObject } from "../../src/core/json-parser.ts";
import type { TensorData } from "../../src/formats/tensor-store.ts";

const TOOLS: Record<Layout, { readonly reader: LayoutReader; readonly writer: LayoutWriter }> = {
  peft: { reader: peftReader, writer: peftWriter },
  kohya: { reader: kohyaReader, writer: kohyaWriter },
  diffusers: { reader: diffusersReader, writer: diffusersWriter },
  mlx: { reader: mlxReader, writer: mlxWriter },
  gguf: { reader: ggufReader, writer: ggufWriter },
  "onnx-adapter": { reader: onnxAdapterReader, writer: onnxAdapterWriter },
};

const IDENTITY = { path: "", size: 0, device: 0n, inode: 0n, modifiedNs: 0n, changedNs: 0n };

/** The adapter in another layout, as its reader sees it, ready for the next. */
export function written(adapter: Adapter, layout: Layout, baseConfig: JsonObject): Adapter {
  const { reader, writer } = TOOLS[layout];
  const context = { base: undefined, baseConfig };
  const planned = writer(adapter, context);
  const pieces = new TensorPieces();
  const tensors = new Map(planned.tensors.map((tensor) => [tensor.name, materialise(tensor, pieces)]));
  const [[name, text] = []] = planned.texts;
  const values = text === undefined ? undefined : parseJsonObject(new TextEncoder().encode(text), { file: name ?? "" });
  const read = reader.read({
    path: layout,
    store: { path: layout, tensors, metadata: planned.metadata, files: [], warnings: [] },
    settings: values && { path: name ?? "", values, identity: IDENTITY },
  });
  return prepareAdapter(read, context, undefined);
}

function materialise(tensor: OutputTensor, pieces: TensorPieces): TensorData {
  const { name, dtype, shape } = tensor;
  const bytes = Uint8Array.from(Buffer.concat([...pieces.of(tensor)].map((piece) => Buffer.from(piece))));
  return { name, dtype, shape, byteLength: tensorBytes(tensor), source: { kind: "memory", bytes } };
}

export interface Delta {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float64Array;
}

/** scale · up · down in double precision, rows on rows. */
export function deltaOf({ delta, scale }: AdapterModule): Delta {
  if (delta.kind !== "lora") throw new Error(delta.kind);
  const { up, down } = factorViews(delta);
  const [left, right] = [elementsOf(up), elementsOf(down)];
  const values = new Float64Array(up.rows * down.columns);
  for (let row = 0; row < up.rows; row++) {
    for (let inner = 0; inner < up.columns; inner++) {
      const factor = scale * (left[row * up.columns + inner] ?? 0);
      for (let column = 0; column < down.columns; column++) {
        const at = row * down.columns + column;
        values[at] = (values[at] ?? 0) + factor * (right[inner * down.columns + column] ?? 0);
      }
    }
  }
  return { rows: up.rows, columns: down.columns, values };
}

export function elementsOf({ tensor, rows, columns, offset, rowStride, columnStride }: MatrixView): Float64Array {
  const numbers = readNumbers(tensor);
  return Float64Array.from(
    { length: rows * columns },
    (_, at) => numbers[offset + Math.floor(at / columns) * rowStride + (at % columns) * columnStride] ?? Number.NaN,
  );
}
