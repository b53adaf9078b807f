/**
 * Constants computed element by element.
 */

import { broadcast, INFERENCE_RULES } from "../../infer/infer.ts";
import type { Operator } from "../../operators.ts";
import { constantOf, type FoldCall, type FoldRule } from "./fold-call.ts";
import { broadcastNumbers, EMPTY } from "./strided.ts";

type Arithmetic = (a: number, b: number, c: number) => number;

const isInteger = (call: FoldCall): boolean => constantOf(call, 0).dtype !== "f32";

/** A rule whose types are those of an operator that it resembles, over inputs that broadcast. */
function elementwise(like: Operator, functionOf: (call: FoldCall) => Arithmetic): FoldRule {
  return {
    infer: INFERENCE_RULES[like],
    compute: (call, [result = new Float64Array()], [type]) => {
      const f = functionOf(call);
      const shape = type?.shape ?? [];
      const [a = EMPTY, b = EMPTY, c = EMPTY] = call.inputs.map((input) =>
        input === undefined ? EMPTY : broadcastNumbers(input, shape),
      );
      for (let at = 0; at < result.length; at++) result[at] = f(a[at] ?? 0, b[at] ?? 0, c[at] ?? 0);
    },
  };
}

const plain = (like: Operator, f: Arithmetic): FoldRule => elementwise(like, () => f);

/** Of any number of inputs. */
function many(join: (a: number, b: number) => number): FoldRule {
  return {
    infer: (call) => {
      const { dtype } = constantOf(call, 0);
      const shapes = call.inputs.map((input) => input?.shape ?? []);
      return [{ dtype, shape: broadcast(call, shapes) }];
    },
    compute: (call, [result = EMPTY], [type]) => {
      const all = call.inputs.map((_, index) => broadcastNumbers(constantOf(call, index), type?.shape ?? []));
      for (let at = 0; at < result.length; at++) result[at] = all.map((one) => one[at] ?? 0).reduce(join);
    },
  };
}

/** ONNX's Div of integers cuts towards zero; its Mod takes the divisor's sign unless `fmod` is set. */
function remainder(call: FoldCall): Arithmetic {
  const fmod = call.attributes.get("fmod");
  if (fmod?.kind === "int" && fmod.value !== 0n) return (a, b) => a % b;
  return (a, b) => a - b * Math.floor(a / b);
}

const castTo = (call: FoldCall): Arithmetic => {
  const [result] = INFERENCE_RULES.Cast(call);
  if (result?.dtype === "bool") return (a) => Number(a !== 0);
  return result?.dtype === "f32" ? (a) => a : Math.trunc;
};

/** Nearest, ties to even, as Round is defined. */
function roundToEven(a: number): number {
  const down = Math.floor(a);
  const rest = a - down;
  return rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1;
}

export const ELEMENTWISE: Readonly<Record<string, FoldRule>> = {
  Add: plain("Add", (a, b) => a + b),
  Sub: plain("Sub", (a, b) => a - b),
  Mul: plain("Mul", (a, b) => a * b),
  Div: elementwise("Div", (call) => (isInteger(call) ? (a, b) => Math.trunc(a / b) : (a, b) => a / b)),
  Mod: elementwise("Div", remainder),
  Min: many((a, b) => Math.min(a, b)),
  Max: many((a, b) => Math.max(a, b)),
  Neg: plain("Neg", (a) => -a),
  Abs: plain("Identity", Math.abs),
  Sign: plain("Identity", Math.sign),
  Floor: plain("Identity", Math.floor),
  Ceil: plain("Identity", Math.ceil),
  Round: plain("Identity", roundToEven),
  Sqrt: plain("Sqrt", Math.sqrt),
  Reciprocal: plain("Reciprocal", (a) => 1 / a),
  Identity: plain("Identity", (a) => a),
  Cast: elementwise("Cast", castTo),
  Where: plain("Where", (condition, a, b) => (condition ? a : b)),
  Equal: plain("Equal", (a, b) => Number(a === b)),
  Less: plain("Less", (a, b) => Number(a < b)),
  Greater: plain("Greater", (a, b) => Number(a > b)),
  LessOrEqual: plain("Less", (a, b) => Number(a <= b)),
  GreaterOrEqual: plain("Greater", (a, b) => Number(a >= b)),
  And: plain("And", (a, b) => Number(a !== 0 && b !== 0)),
  Or: plain("And", (a, b) => Number(a !== 0 || b !== 0)),
  Xor: plain("And", (a, b) => Number((a !== 0) !== (b !== 0))),
  Not: plain("Not", (a) => Number(a === 0)),
};
