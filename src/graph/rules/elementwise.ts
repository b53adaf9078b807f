/**
 * Gradients of the operators that work element by element, broadcasting included.
 */

import type { GraphBuilder } from "../builder.ts";
import { inputOf, type Value } from "../call.ts";
import { type Backward, type GradientRule, gradientOf, outputOf, sumTo, when } from "./backward.ts";

type Two = { readonly g: GraphBuilder; readonly dy: Value; readonly a: Value; readonly b: Value; readonly y: Value };

/** Rule of y = f(a, b) from the products ∂L/∂y · ∂y/∂a and ∂L/∂y · ∂y/∂b. */
function binary(byA: (node: Two) => Value, byB: (node: Two) => Value): GradientRule {
  return (node: Backward) => {
    const { g } = node;
    const [a, b] = [inputOf(node, 0), inputOf(node, 1)];
    const two = { g, dy: gradientOf(node), a, b, y: outputOf(node) };
    return [
      when(node.wants(0), () => sumTo(g, byA(two), a.shape)),
      when(node.wants(1), () => sumTo(g, byB(two), b.shape)),
    ];
  };
}

type One = { readonly g: GraphBuilder; readonly dy: Value; readonly x: Value; readonly y: Value };

/** Rule of y = f(x) from ∂L/∂y · f′(x). */
function unary(byX: (node: One) => Value): GradientRule {
  return (node) => [byX({ g: node.g, dy: gradientOf(node), x: inputOf(node, 0), y: outputOf(node) })];
}

/** Where a wins 1, where both are equal ½, as torch.maximum and torch.minimum share it. */
function share(g: GraphBuilder, wins: Value, a: Value, b: Value): Value {
  return g.where(wins, g.scalar(1), g.where(g.equal(a, b), g.scalar(0.5), g.scalar(0)));
}

export const add = binary(
  ({ dy }) => dy,
  ({ dy }) => dy,
);

export const sub = binary(
  ({ dy }) => dy,
  ({ g, dy }) => g.neg(dy),
);

export const mul = binary(
  ({ g, dy, b }) => g.mul(dy, b),
  ({ g, dy, a }) => g.mul(dy, a),
);

export const div = binary(
  ({ g, dy, b }) => g.div(dy, b),
  ({ g, dy, b, y }) => g.neg(g.div(g.mul(dy, y), b)),
);

/** d(aᵇ) = b aᵇ⁻¹ da + aᵇ ln(a) db; the second only for a > 0. */
export const pow = binary(
  ({ g, dy, a, b }) => g.mul(dy, g.mul(b, g.pow(a, g.sub(b, g.scalar(1))))),
  ({ g, dy, a, y }) => g.mul(dy, g.mul(y, g.log(a))),
);

export const max = binary(
  ({ g, dy, a, b }) => g.mul(dy, share(g, g.greater(a, b), a, b)),
  ({ g, dy, a, b }) => g.mul(dy, share(g, g.greater(b, a), a, b)),
);

export const min = binary(
  ({ g, dy, a, b }) => g.mul(dy, share(g, g.less(a, b), a, b)),
  ({ g, dy, a, b }) => g.mul(dy, share(g, g.less(b, a), a, b)),
);

export const neg = unary(({ g, dy }) => g.neg(dy));
export const sqrt = unary(({ g, dy, y }) => g.div(g.mul(dy, g.scalar(0.5)), y));
export const reciprocal = unary(({ g, dy, y }) => g.neg(g.mul(dy, g.mul(y, y))));
export const exp = unary(({ g, dy, y }) => g.mul(dy, y));
export const log = unary(({ g, dy, x }) => g.div(dy, x));
export const tanh = unary(({ g, dy, y }) => g.mul(dy, g.sub(g.scalar(1), g.mul(y, y))));
export const sigmoid = unary(({ g, dy, y }) => g.mul(dy, g.mul(y, g.sub(g.scalar(1), y))));
export const cos = unary(({ g, dy, x }) => g.neg(g.mul(dy, g.sin(x))));
export const sin = unary(({ g, dy, x }) => g.mul(dy, g.cos(x)));
export const identity = unary(({ dy }) => dy);
export const cast = unary(({ g, dy, x }) => g.cast(dy, x.dtype));

/** erf′(x) = 2/√π · e^(−x²) */
export const erf = unary(({ g, dy, x }) =>
  g.mul(g.mul(dy, g.scalar(2 / Math.sqrt(Math.PI))), g.exp(g.neg(g.mul(x, x)))),
);

export const where: GradientRule = (node) => {
  const { g } = node;
  const [condition, a, b] = [inputOf(node, 0), inputOf(node, 1), inputOf(node, 2)];
  const [dy, zero] = [gradientOf(node), g.scalar(0)];
  return [
    undefined,
    when(node.wants(1), () => sumTo(g, g.where(condition, dy, zero), a.shape)),
    when(node.wants(2), () => sumTo(g, g.where(condition, zero, dy), b.shape)),
  ];
};
