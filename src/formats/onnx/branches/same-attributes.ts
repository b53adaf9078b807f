/**
 * Whether two nodes have equal attributes: two convolutions over the same data with the same strides, padding and so on.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import type { OnnxAttribute, OnnxNode } from "../model.ts";
import { type PlainAttribute, readAttribute } from "../read-attribute.ts";
import type { WireReader } from "../wire-reader.ts";

export function sameAttributes(wire: WireReader, a: OnnxNode, b: OnnxNode): boolean {
  return describeAttributes(wire, a) === describeAttributes(wire, b);
}

/** A text that is equal for equal attributes, whatever their order; of graphs and what is not read, the names only. */
export function describeAttributes(wire: WireReader, { attributes }: OnnxNode): string {
  const rows = attributes.map((attribute): [string, unknown] => [attribute.name, plainValue(wire, attribute)]);
  rows.sort(([first], [second]) => (first < second ? -1 : 1));
  return JSON.stringify(rows, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

function plainValue(wire: WireReader, attribute: OnnxAttribute): PlainAttribute | undefined {
  try {
    return readAttribute(wire, attribute);
  } catch (error) {
    if (error instanceof UnsupportedError) return undefined;
    throw error;
  }
}
