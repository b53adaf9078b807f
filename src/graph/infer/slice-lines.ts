/**
 * The elements that a Slice takes of each axis, steps of any size and direction included.
 *
 * https://onnx.ai/onnx/operators/onnx__Slice.html : indices from the end are negative, and are clamped to [0, size] for
 * steps forwards, to [−1, size − 1] for steps backwards.
 */

import { inputOf, integersOf, invalid, type NodeCall, normalAxis } from "../call.ts";

export interface Line {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

export function sliceLines(call: NodeCall): readonly Line[] {
  const { shape } = inputOf(call, 0);
  const starts = integersOf(call, 1);
  const ends = integersOf(call, 2);
  const axes = call.integers(3) ?? [...starts.keys()];
  const steps = call.integers(4) ?? starts.map(() => 1);
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length) {
    throw invalid(call, "starts, ends, axes and steps differ in length");
  }
  const lines: Line[] = shape.map((size) => ({ start: 0, step: 1, count: size }));
  axes.forEach((given, index) => {
    const axis = normalAxis(call, given, shape.length);
    const [start = 0, end = 0, step = 1] = [starts[index], ends[index], steps[index]];
    if (step === 0) throw invalid(call, "a step of 0");
    lines[axis] = lineOf(shape[axis] ?? 0, start, end, step);
  });
  return lines;
}

function lineOf(size: number, start: number, end: number, step: number): Line {
  const [lowest, highest] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (at: number) => Math.min(Math.max(at < 0 ? at + size : at, lowest), highest);
  const first = clamp(start);
  return { start: first, step, count: Math.max(0, Math.ceil((clamp(end) - first) / step)) };
}
