/** Adapter files in memory, of f32 tensors unless told otherwise. */

import type { AdapterFiles } from "../../../src/adapters/layouts/layout-reader.ts";
import { DTYPE_BITS, type Dtype } from "../../../src/core/dtype.ts";
import { parseJsonObject } from "../../../src/core/json-parser.ts";
import type { FileIdentity, TensorData } from "../../../src/formats/tensor-store.ts";

export type Entry = readonly [name: string, shape: readonly number[], dtype?: Dtype, numbers?: readonly number[]];

function tensorOf([name, shape, dtype = "f32", numbers]: Entry): TensorData {
  const count = shape.reduce((product, size) => product * size, 1);
  const bytes = new Uint8Array((count * DTYPE_BITS[dtype]) / 8);
  if (dtype === "f32") new Float32Array(bytes.buffer).set(numbers ?? Array.from({ length: count }, () => 0.5));
  if (dtype === "i64") new BigInt64Array(bytes.buffer).set((numbers ?? []).map(BigInt));
  return { name, dtype, shape, byteLength: bytes.byteLength, source: { kind: "memory", bytes } };
}

const identity: FileIdentity = { path: "s", size: 1, device: 1n, inode: 1n, modifiedNs: 1n, changedNs: 1n };

/** @param settings JSON text of adapter_config.json */
export function adapterFiles(
  entries: readonly Entry[],
  {
    settings,
    metadata = {},
  }: { readonly settings?: string; readonly metadata?: Readonly<Record<string, string>> } = {},
): AdapterFiles {
  const tensors = new Map(entries.map((entry) => [entry[0], tensorOf(entry)]));
  const file = "adapter_config.json";
  return {
    path: "adapter",
    store: { path: "weights", tensors, metadata: new Map(Object.entries(metadata)), files: [], warnings: [] },
    settings:
      settings === undefined
        ? undefined
        : { path: file, values: parseJsonObject(new TextEncoder().encode(settings), { file }), identity },
  };
}
