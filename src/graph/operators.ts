/**
 * The operators that training graphs are made of: the part of ONNX opset 18 to 26 that language models and their
 * gradients need (https://onnx.ai/onnx/operators).
 *
 * A new operator is a row here; then the tables of result types (`infer/infer.ts`), of gradients (`rules/rules.ts`) and
 * of the tests' evaluator do not compile until they have theirs. ScatterND is left out on purpose: ONNX Runtime adds
 * duplicates with several threads and loses some (onnxruntime#23396); its ScatterElements does not.
 */

/** How many inputs each operator takes: at least, at most. Max and Min take two here, any number in ONNX. */
export const OPERATORS = {
  MatMul: [2, 2],
  Gemm: [2, 3],
  Add: [2, 2],
  Sub: [2, 2],
  Mul: [2, 2],
  Div: [2, 2],
  Pow: [2, 2],
  Max: [2, 2],
  Min: [2, 2],
  Neg: [1, 1],
  Sqrt: [1, 1],
  Reciprocal: [1, 1],
  Exp: [1, 1],
  Log: [1, 1],
  Tanh: [1, 1],
  Sigmoid: [1, 1],
  Erf: [1, 1],
  Cos: [1, 1],
  Sin: [1, 1],
  Identity: [1, 1],
  Cast: [1, 1],
  Softmax: [1, 1],
  LogSoftmax: [1, 1],
  ReduceSum: [1, 2],
  ReduceMean: [1, 2],
  ReduceMax: [1, 2],
  CumSum: [2, 2],
  Shape: [1, 1],
  Reshape: [2, 2],
  Transpose: [1, 1],
  Concat: [1, Number.POSITIVE_INFINITY],
  Split: [1, 2],
  Slice: [3, 5],
  Pad: [2, 4],
  Expand: [2, 2],
  Unsqueeze: [2, 2],
  Squeeze: [1, 2],
  Gather: [2, 2],
  GatherElements: [2, 2],
  ScatterElements: [3, 3],
  Where: [3, 3],
  Equal: [2, 2],
  Less: [2, 2],
  Greater: [2, 2],
  And: [2, 2],
  Not: [1, 1],
} as const satisfies Record<string, readonly [number, number]>;

export type Operator = keyof typeof OPERATORS;

/** Whether a node's operator type, of ONNX's own domain, is one of these. */
export function isOperator(opType: string): opType is Operator {
  return Object.hasOwn(OPERATORS, opType);
}
