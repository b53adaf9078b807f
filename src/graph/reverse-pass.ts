/**
 * Reverse mode: walks nodes backwards and collects, for every value on the way, the gradient of the loss.
 *
 * Only values are visited through which the loss reaches a trainable tensor, so the gradient of a frozen weight is never
 * formed. The walk may stop and go on later: a part of the graph can be walked as soon as it is built, and what it needs
 * from its forward nodes is free again before the next part (`cross-entropy.ts`).
 */

import { isFloatDtype } from "../core/dtype.ts";
import { UnsupportedError } from "../core/errors.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { GraphNode } from "../formats/onnx/graph.ts";
import type { GraphBuilder } from "./builder.ts";
import type { Value } from "./call.ts";
import { isOperator } from "./operators.ts";
import { GRADIENT_RULES } from "./rules/rules.ts";

export class ReversePass {
  readonly #g: GraphBuilder;
  readonly #trainable: ReadonlySet<string>;
  readonly #detached: Set<string>;
  /** Values that lead to a trainable tensor, and the trainable tensors themselves. */
  readonly #active: Set<string>;
  /** Complete sums for trainable tensors; for others what has not been passed on yet. */
  readonly #gradients = new Map<string, Value>();
  /** Nodes up to here are known to `#active`. */
  #seen = 0;

  /**
   * @param trainable values to differentiate by
   * @param detached values that count as constants whatever they depend on
   */
  constructor(g: GraphBuilder, trainable: Iterable<string>, detached: Iterable<string> = []) {
    this.#g = g;
    this.#trainable = new Set(trainable);
    this.#active = new Set(this.#trainable);
    this.#detached = new Set(detached);
  }

  /** Lets a value count as a constant, before its node is learned. */
  detach({ name }: Value): void {
    this.#detached.add(name);
  }

  /** Adds to the gradient of a value: 1 for the loss itself. */
  seed(value: Value, gradient: Value): void {
    if (!sameShape(value.shape, gradient.shape)) {
      throw new Error(
        `gradient of ${value.name}: expected ${formatShape(value.shape)}, got ${formatShape(gradient.shape)}`,
      );
    }
    const sum = this.#gradients.get(value.name);
    this.#gradients.set(value.name, sum === undefined ? gradient : this.#g.add(sum, gradient));
  }

  /**
   * Passes gradients from the nodes `start` to `end` − 1 on to what they were computed from. Everything that uses one of
   * their outputs must have been walked before.
   */
  walk(start: number, end: number): void {
    this.learn(end);
    for (const node of this.#g.nodes.slice(start, end).reverse()) this.#step(node);
  }

  /** The gradient of a value so far, which is then not passed on; `undefined` where the loss or trainable tensors are out of reach. */
  take(value: Value): Value | undefined {
    const gradient = this.#gradients.get(value.name);
    this.#gradients.delete(value.name);
    return gradient;
  }

  /** @throws {UnsupportedError} UNSUPPORTED_MODEL when nothing that was walked depends on it */
  gradient(name: string): Value {
    const gradient = this.#gradients.get(name);
    if (gradient === undefined) {
      throw new UnsupportedError("UNSUPPORTED_MODEL", "the loss does not depend on this tensor", { subject: name });
    }
    return gradient;
  }

  /** Whether a value leads to a trainable tensor, as far as `learn` or `walk` has come. */
  isActive(name: string): boolean {
    return this.#active.has(name);
  }

  /** Looks at the nodes before `end`, without walking them. */
  learn(end: number): void {
    for (const { opType, inputs, outputs } of this.#g.nodes.slice(this.#seen, end)) {
      if (!isOperator(opType) || GRADIENT_RULES[opType] === "none") continue;
      if (!inputs.some((input) => this.#active.has(input))) continue;
      for (const output of outputs) {
        if (output === "" || this.#detached.has(output)) continue;
        if (isFloatDtype(this.#g.value(output).dtype)) this.#active.add(output);
      }
    }
    this.#seen = Math.max(this.#seen, end);
  }

  #step(node: GraphNode): void {
    const gradients = node.outputs.map((output) =>
      this.#active.has(output) ? this.#gradients.get(output) : undefined,
    );
    if (gradients.every((gradient) => gradient === undefined)) return;
    for (const output of node.outputs) if (!this.#trainable.has(output)) this.#gradients.delete(output);
    const call = this.#g.callOf(node);
    const rule = GRADIENT_RULES[call.operator];
    if (rule === "none") return;
    const wants = (index: number): boolean => this.#active.has(node.inputs[index] ?? "");
    for (const input of call.inputs) {
      if (input === undefined || !this.#active.has(input.name) || input.dtype === "f32") continue;
      throw new UnsupportedError(
        "UNSUPPORTED_OPERATOR",
        `expected f32 on the way to a trainable tensor, got ${input.dtype}`,
        {
          subject: call.label,
        },
      );
    }
    const outputs = node.outputs.map((output) => this.#g.value(output));
    const results = rule({ ...call, g: this.#g, outputs, gradients, wants });
    call.inputs.forEach((input, index) => {
      const gradient = results[index];
      if (input !== undefined && gradient !== undefined && wants(index)) this.seed(input, gradient);
    });
  }
}
