/**
 * What the optimiser remembers of each tensor, as tensors of a file; and back, together with the values, bit for bit.
 */

import { join } from "node:path";
import { bytesOf } from "../../core/bytes.ts";
import { FormatError } from "../../core/errors.ts";
import { readTensorRangeSync } from "../../formats/byte-source.ts";
import { openSafetensors } from "../../formats/safetensors/reader.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { FrameEntry } from "../../formats/weights-frame.ts";
import { openInitialAdapter } from "../adapter/initial-adapter.ts";
import type { TrainedTensor } from "../adapter/trained-tensors.ts";

export const MOMENTS_NAME = "optimizer.safetensors";

/** `<name>/first` and `/second`; none for an optimiser that remembers nothing. */
export function momentTensors(tensors: readonly TrainedTensor[]): (FrameEntry & { readonly bytes: Uint8Array })[] {
  return tensors.flatMap((tensor) =>
    momentsOf(tensor).map(([name, values]) => ({
      name,
      dtype: "f32" as const,
      shape: [values.length],
      bytes: bytesOf(values),
    })),
  );
}

/**
 * Puts the values and moments of a checkpoint into the tensors.
 *
 * @throws {FormatError} INVALID_MODEL when one is missing or has another size
 */
export async function restoreTensors(path: string, tensors: readonly TrainedTensor[]): Promise<void> {
  const adapter = await openInitialAdapter(path);
  const moments = openSafetensors(join(path, MOMENTS_NAME)).tensors;
  for (const tensor of tensors) {
    fill(tensor.values, adapter.tensors.get(tensor.storedAs), tensor.name, path);
    for (const [name, values] of momentsOf(tensor)) fill(values, moments.get(name), name, path);
  }
}

/** Only the values, for the best adapter of a run that goes on. */
export async function readValues(
  path: string,
  tensors: readonly TrainedTensor[],
): Promise<ReadonlyMap<string, Float32Array>> {
  const adapter = await openInitialAdapter(path);
  return new Map(
    tensors.map(({ name, storedAs, values }) => {
      const copy = new Float32Array(values.length);
      fill(copy, adapter.tensors.get(storedAs), name, path);
      return [name, copy];
    }),
  );
}

function momentsOf({ name, firstMoment, secondMoment }: TrainedTensor): [name: string, values: Float32Array][] {
  const moments: [string, Float32Array][] = [
    [`${name}/first`, firstMoment],
    [`${name}/second`, secondMoment],
  ];
  return moments.filter(([, values]) => values.length > 0);
}

function fill(target: Float32Array, stored: TensorData | undefined, name: string, file: string): void {
  const bytes = bytesOf(target);
  if (stored === undefined || stored.dtype !== "f32" || stored.byteLength !== bytes.byteLength) {
    const found = stored === undefined ? "nothing" : `${stored.byteLength} bytes of ${stored.dtype}`;
    const problem = `expected ${bytes.byteLength} bytes of f32, got ${found}`;
    throw new FormatError("INVALID_MODEL", problem, { file, subject: name });
  }
  readTensorRangeSync(stored, 0, bytes);
}
