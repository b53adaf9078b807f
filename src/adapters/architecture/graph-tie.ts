/**
 * Whether the two ends of a model are one tensor in an ONNX graph: one constant, or two with equal numbers, since exporters
 * turn the head's weight and store the result beside the embedding.
 */

import { readTensorRangeSync } from "../../formats/byte-source.ts";
import type { OnnxParameters } from "../../formats/onnx/parameters/parameters.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { EmbeddingEnds, TiedEmbedding } from "./tied-embedding.ts";

/** Rows that are compared, from the first to the last: ends that differ anywhere differ there. */
const SAMPLED_ROWS = 64;

export function graphTie(
  { byName }: OnnxParameters,
  tensors: ReadonlyMap<string, TensorData>,
  { input, output }: EmbeddingEnds,
): TiedEmbedding | undefined {
  const [first, second] = [byName.get(input ?? ""), byName.get(output)];
  const [embedding, head] = [tensors.get(input ?? ""), tensors.get(output)];
  if (input === undefined || first === undefined || second === undefined || !embedding || !head) return undefined;
  if (first.constant === second.constant) return { input, output };
  if (embedding.dtype !== head.dtype || embedding.byteLength !== head.byteLength) return undefined;
  const tokensFirst = (axes: string) => axes === "rows" || axes === "out-in";
  const isTurned = tokensFirst(first.axes) !== tokensFirst(second.axes);
  return sameSample(embedding, head, isTurned) ? { input, output, isApart: true, isTurned } : undefined;
}

/** Whether some rows of one matrix are rows, or columns, of the other. */
function sameSample(a: TensorData, b: TensorData, isTurned: boolean): boolean {
  const [rows = 0, columns = 0] = a.shape;
  const [otherRows = 0, otherColumns = 0] = isTurned ? b.shape.toReversed() : b.shape;
  if (a.shape.length !== 2 || b.shape.length !== 2 || rows !== otherRows || columns !== otherColumns) return false;
  const width = a.byteLength / Math.max(1, rows * columns);
  const step = Math.max(1, Math.ceil(rows / SAMPLED_ROWS));
  const [own, other] = [new Uint8Array(columns * width), new Uint8Array(columns * width)];
  for (let row = 0; row < rows; row += step) {
    readTensorRangeSync(a, row * columns * width, own);
    if (!isTurned) readTensorRangeSync(b, row * columns * width, other);
    else {
      for (let column = 0; column < columns; column++) {
        const element = other.subarray(column * width, (column + 1) * width);
        readTensorRangeSync(b, (column * rows + row) * width, element);
      }
    }
    if (Buffer.compare(own, other) !== 0) return false;
  }
  return true;
}
