/**
 * One use of an operator, as the rules for types and gradients see it: typed inputs, attributes, constants.
 *
 * Every shape is a list of numbers. A training graph is built for one bucket (batch and sequence length are known when it
 * is built), so shapes, axes and broadcasting are settled here and no node has to compute them while the graph runs.
 */

import type { Dtype } from "../core/dtype.ts";
import { FormatError, UnsupportedError } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";
import { quote } from "../core/text.ts";
import type { Attribute, GraphNode } from "../formats/onnx/graph.ts";
import type { Operator } from "./operators.ts";

export interface ValueType {
  readonly dtype: Dtype;
  readonly shape: Shape;
}

/** A value of a graph: what a node, an initialiser or an input defines. */
export interface Value extends ValueType {
  readonly name: string;
}

/** One use of an operator, whether it has a row in `OPERATORS` or not. */
export interface NodeCall {
  readonly operator: string;
  /** See `labelOf`. */
  readonly label: string;
  /** By position; `undefined` for an optional input that is absent. */
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: ReadonlyMap<string, Attribute>;
  readonly outputCount: number;
  /** The integers of a constant i64 input; `undefined` when the input is absent. */
  integers(index: number): readonly number[] | undefined;
}

export interface Call extends NodeCall {
  readonly operator: Operator;
}

/** What messages call a node: its name, or its first output where it has none. */
export function labelOf({ name, outputs }: Pick<GraphNode, "name" | "outputs">): string {
  return name || (outputs[0] ?? "");
}

/** @throws {FormatError} INVALID_MODEL when the input is absent */
export function inputOf(call: NodeCall, index: number): Value {
  const input = call.inputs[index];
  if (input === undefined) throw invalid(call, `input ${index} is missing`);
  return input;
}

/** The integers of an input that the operator needs, shapes and axes. */
export function integersOf(call: NodeCall, index: number): readonly number[] {
  const integers = call.integers(index);
  if (integers === undefined) throw invalid(call, `input ${index} is missing`);
  return integers;
}

export function intAttribute(call: NodeCall, name: string, otherwise: number): number {
  const attribute = call.attributes.get(name);
  return attribute?.kind === "int" ? Number(attribute.value) : otherwise;
}

export function intsAttribute(call: NodeCall, name: string): readonly number[] | undefined {
  const attribute = call.attributes.get(name);
  return attribute?.kind === "ints" ? attribute.value.map(Number) : undefined;
}

export function floatAttribute(call: NodeCall, name: string, otherwise: number): number {
  const attribute = call.attributes.get(name);
  return attribute?.kind === "float" ? attribute.value : otherwise;
}

export function textAttribute(call: NodeCall, name: string, otherwise: string): string {
  const attribute = call.attributes.get(name);
  return attribute?.kind === "string" ? attribute.value : otherwise;
}

/** An axis from the front: ONNX counts negative ones from the end. */
export function normalAxis(call: NodeCall, axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(normal) || normal < 0 || normal >= rank) {
    throw invalid(call, `an axis does not exist, expected one of ${rank}, got ${axis}`);
  }
  return normal;
}

/** An index along an axis of `size` elements, from the front: ONNX counts negative ones from the end. */
export function normalIndex(call: NodeCall, index: number, size: number): number {
  const normal = index < 0 ? index + size : index;
  if (normal >= 0 && normal < size) return normal;
  throw invalid(call, `an index does not exist, expected one of ${size}, got ${index}`);
}

/** The graph breaks a rule of its operator. */
export function invalid(call: NodeCall, problem: string): FormatError {
  return new FormatError("INVALID_MODEL", `${call.operator}: ${problem}`, { subject: call.label });
}

/** The operator allows it, and it is not handled here. */
export function unsupported(call: NodeCall, problem: string): UnsupportedError {
  return new UnsupportedError("UNSUPPORTED_OPERATOR", `${call.operator}: ${problem}`, { subject: call.label });
}

/** A node of an operator that has no row in `OPERATORS`. */
export function unknownOperator(label: string, domain: string, opType: string): UnsupportedError {
  const operator = quote(domain === "" ? opType : `${domain}.${opType}`);
  return new UnsupportedError("UNSUPPORTED_OPERATOR", `operator ${operator} has no gradient here`, { subject: label });
}
