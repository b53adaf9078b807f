/**
 * IA3 (arXiv 2205.05638): W ∘ l, along the inputs of feed-forward modules, else along the outputs.
 */

import { elementCount } from "../../core/shape.ts";
import { memoryTensor } from "../../formats/memory-tensor.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { Delta } from "../adapter.ts";
import type { ScaleStep } from "../edit.ts";
import type { Layer, Placement } from "./placement.ts";
import { problem } from "./report.ts";
import { readNumbers } from "./tensor-values.ts";

type Ia3 = Extract<Delta, { kind: "ia3" }>;

export function ia3Step(delta: Ia3, layer: Layer, placement: Placement, weight: number): ScaleStep {
  const { feedforward } = delta;
  const vector = delta.aboutOne ? onePlus(delta.vector, readNumbers(delta.vector)) : delta.vector;
  const length = elementCount(vector.shape) ?? 0;
  const axis = feedforward === placement.transposed ? "rows" : "columns";
  const expected = feedforward ? layer.inputs : layer.outputs;
  if (length === expected) return { kind: "scale", axis, weight, vector };
  // A convolution's inputs are channels, its columns channels times kernel elements.
  const channels = placement.tensor.shape[1] ?? 0;
  const isConvolution = feedforward && placement.tensor.shape.length > 2;
  if (isConvolution && length > channels && length % channels === 0) {
    throw problem(`IA3 of the inputs of a convolution with groups (${length / channels}) is not supported`);
  }
  if (!isConvolution || length !== channels) throw problem(`expected ${expected} factors, got ${length}`);
  const kernel = layer.inputs / channels;
  const factors = readNumbers(vector);
  const repeated = Float64Array.from({ length: layer.inputs }, (_, index) => factors[Math.floor(index / kernel)] ?? 1);
  return { kind: "scale", axis, weight, vector: memoryTensor(vector.name, [layer.inputs], repeated) };
}

function onePlus({ name, shape }: TensorData, numbers: Float64Array): TensorData {
  return memoryTensor(
    name,
    shape,
    numbers.map((value) => 1 + value),
  );
}
