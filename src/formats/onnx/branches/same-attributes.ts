/**
 * Whether two nodes have equal attributes: two convolutions over the same data with the same strides, padding and so on.
 */

import type { OnnxNode } from "../model.ts";
import { readAttribute } from "../read-attribute.ts";
import type { WireReader } from "../wire-reader.ts";

export function sameAttributes(wire: WireReader, a: OnnxNode, b: OnnxNode): boolean {
  return describe(wire, a) === describe(wire, b);
}

function describe(wire: WireReader, { attributes }: OnnxNode): string {
  const rows = attributes.map((attribute): [string, unknown] => [attribute.name, readAttribute(wire, attribute)]);
  rows.sort(([first], [second]) => (first < second ? -1 : 1));
  return JSON.stringify(rows, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}
