/**
 * Constants made from sizes and ranges, summed and counted.
 */

import { elementCount, stridesOf } from "../../../core/shape.ts";
import { inputOf, intAttribute, integersOf, invalid, normalAxis, type ValueType } from "../../call.ts";
import { INFERENCE_RULES, reducedAxes } from "../../infer/infer.ts";
import { Constant } from "../constant.ts";
import { constantOf, type FoldCall, type FoldRule, firstOf, numberOf } from "./fold-call.ts";
import { copyStrided, EMPTY } from "./strided.ts";

const range: FoldRule = {
  infer: (call) => {
    const [start, limit, step] = [numberOf(call, 0), numberOf(call, 1), numberOf(call, 2)];
    if (step === 0) throw invalid(call, "a step of 0");
    const count = Math.max(0, Math.ceil((limit - start) / step));
    return [{ dtype: inputOf(call, 0).dtype, shape: [count] }];
  },
  compute: (call, [result = EMPTY]) => {
    const [start, step] = [numberOf(call, 0), numberOf(call, 2)];
    for (let at = 0; at < result.length; at++) result[at] = start + at * step;
  },
};

/** What ConstantOfShape repeats: 0 of f32 by default. */
export function repeatedValue(call: Pick<FoldCall, "attributes">): {
  readonly dtype: ValueType["dtype"];
  readonly value: number;
} {
  const value = call.attributes.get("value");
  if (value?.kind !== "tensor") return { dtype: "f32", value: 0 };
  const constant = Constant.fromTensor("", value.value);
  return { dtype: constant.dtype, value: constant.numbers[0] ?? 0 };
}

const constantOfShape: FoldRule = {
  infer: (call) => [{ dtype: repeatedValue(call).dtype, shape: integersOf(call, 0) }],
  compute: (call, [result]) => result?.fill(repeatedValue(call).value),
};

/** The indices of elements that are not 0, one column for each. */
const nonZero: FoldRule = {
  infer: (call) => {
    const { shape, numbers } = constantOf(call, 0);
    return [{ dtype: "i64", shape: [shape.length, numbers.reduce((sum, number) => sum + Number(number !== 0), 0)] }];
  },
  compute: (call, [result = EMPTY], [type]) => {
    const { shape, numbers } = constantOf(call, 0);
    const columns = type?.shape[1] ?? 0;
    const strides = stridesOf(shape);
    let column = 0;
    numbers.forEach((number, at) => {
      if (number === 0) return;
      strides.forEach((stride, axis) => {
        result[axis * columns + column] = Math.floor(at / stride) % (shape[axis] ?? 1);
      });
      column++;
    });
  },
};

/** Sums along an axis, this element included unless `exclusive`, from the end with `reverse`. */
const cumSum: FoldRule = {
  infer: INFERENCE_RULES.Identity,
  compute: (call, [result = EMPTY]) => {
    const { shape, numbers } = constantOf(call, 0);
    const axis = normalAxis(call, firstOf(call, integersOf(call, 1)), shape.length);
    const [stride = 1, size = 1] = [stridesOf(shape)[axis], shape[axis]];
    const [exclusive, reverse] = [intAttribute(call, "exclusive", 0) !== 0, intAttribute(call, "reverse", 0) !== 0];
    for (let at = 0; at < result.length; at++) {
      const index = Math.floor(at / stride) % size;
      if (index !== 0) continue;
      let sum = 0;
      for (let step = 0; step < size; step++) {
        const place = at + (reverse ? size - 1 - step : step) * stride;
        const number = numbers[place] ?? 0;
        result[place] = exclusive ? sum : sum + number;
        sum += number;
      }
    }
  },
};

/** A reduction: the axes that stay come first, so that each result is one run of elements. */
function reduction(reduce: (run: Float64Array) => number): FoldRule {
  return {
    infer: INFERENCE_RULES.ReduceSum,
    compute: (call, [result = EMPTY]) => {
      const { shape, numbers } = constantOf(call, 0);
      const axes = reducedAxes(call);
      const order = [...shape.keys()].sort((a, b) => Number(axes.includes(a)) - Number(axes.includes(b)));
      const strides = stridesOf(shape);
      const runs = new Float64Array(numbers.length);
      copyStrided(
        numbers,
        runs,
        order.map((axis) => shape[axis] ?? 1),
        order.map((axis) => strides[axis] ?? 0),
      );
      const length = elementCount(axes.map((axis) => shape[axis] ?? 1)) ?? 0;
      for (let at = 0; at < result.length; at++) result[at] = reduce(runs.subarray(at * length, (at + 1) * length));
    },
  };
}

const sum = (run: Float64Array): number => run.reduce((a, b) => a + b, 0);

export const MAKING: Readonly<Record<string, FoldRule>> = {
  Range: range,
  ConstantOfShape: constantOfShape,
  NonZero: nonZero,
  CumSum: cumSum,
  ReduceSum: reduction(sum),
  ReduceMean: reduction((run) => sum(run) / run.length),
  ReduceProd: reduction((run) => run.reduce((a, b) => a * b, 1)),
  ReduceMax: reduction((run) => run.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)),
  ReduceMin: reduction((run) => run.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)),
};
