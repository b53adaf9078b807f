/** The graph of an ONNX model in words: facts, and the weights by the parameters that they hold. */

import { formatShape } from "../../core/shape.ts";
import { escapeText } from "../../core/text.ts";
import type { InspectedGraph } from "../../inspect/inspect-graph.ts";
import type { Fact } from "../facts.ts";
import { formatCount, formatTable } from "../format.ts";

export function graphFacts({ opsets, nodes, branches, parameters }: InspectedGraph): Fact[] {
  const versions = Object.entries(opsets).map(([domain, version]) => `${escapeText(domain)} ${version}`);
  const named = parameters.filter(({ isNamed }) => isNamed).length;
  const facts: Fact[] = [
    ["graph", `${formatCount(nodes)} nodes, operators of ${versions.join(", ")}`],
    ["names", `${formatCount(named)} parameters found, ${formatCount(parameters.length - named)} other constants`],
  ];
  if (branches.length > 0) facts.push(["branches", `LoRA beside ${formatCount(branches.length)} layers: merge --fold`]);
  return facts;
}

/** Parameters that differ in nothing but numbers in their names share a row; so do constants without a name. */
export function parameterTable({ parameters }: InspectedGraph): string {
  const groups = new Map<string, { row: string[]; count: number }>();
  for (const { name, constant, isNamed, shape, axes, isQuantized, isFolded, operators } of parameters) {
    if (!isNamed && shape.length < 2) continue;
    const state = isQuantized ? "quantised" : isFolded ? "with batch norm" : shape.length < 2 ? "vector" : axes;
    const [shownName, shownConstant] = [isNamed ? name : "?", constant].map((text) =>
      escapeText(text).replace(/(?<=[._])\d+/g, "*"),
    );
    const row = [state, formatShape(shape), operators.map(escapeText).join(", "), shownConstant ?? "", shownName ?? ""];
    const group = groups.get(row.join("\n")) ?? { row, count: 0 };
    group.count++;
    groups.set(row.join("\n"), group);
  }
  const rows = [...groups.values()].map(({ row, count }) => [String(count), ...row]);
  return formatTable([["count", "axes", "shape", "read by", "constant", "parameter"], ...rows]);
}
