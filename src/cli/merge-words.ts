/**
 * What merge, combine and verify say alike: adapters with their scales, the plan of tensors, the verdict.
 */

import { formatShape } from "../core/shape.ts";
import { escapeText } from "../core/text.ts";
import type { AdapterSummary, PlannedRow } from "../merge/report.ts";
import type { Verification } from "../merge/verify.ts";
import type { Fact } from "./facts.ts";
import { formatCount, formatRange, formatTable } from "./format.ts";

/** A row for each adapter: method, size, rank, scale. */
export function adapterFacts(adapters: readonly AdapterSummary[]): Fact[] {
  return adapters.map(({ path, method, modules, rank, scale, weight }) => [
    "adapter",
    `${escapeText(path)}: ${escapeText(method)}, ${formatCount(modules)} modules, rank ${formatRange(rank)}, ` +
      `scale ${formatRange(scale)}${weight === 1 ? "" : `, weight ${weight}`}`,
  ]);
}

/** What happens to each tensor of the base. */
export function planTable(plan: readonly PlannedRow[]): string {
  const rows = plan.map(({ action, tensor, dtype, shape, modules }) => [
    action,
    escapeText(tensor),
    dtype,
    formatShape(shape),
    modules.map(escapeText).join(", "),
  ]);
  return formatTable([["action", "tensor", "dtype", "shape", "modules"], ...rows]);
}

/** The verdict in one line. */
export function describeVerification(report: Verification): string {
  const exact =
    report.exactElements === 0
      ? ""
      : `; ${formatCount(report.exactElements)} of them in double precision too, within ${report.maxExactUlp.toPrecision(3)} ulp`;
  const differ =
    report.different === 0
      ? "all equal"
      : `${formatCount(report.different)} differ, by up to ${report.maxUlp.toPrecision(3)} ulp`;
  return `${formatCount(report.elements)} elements in ${formatCount(report.tensors)} tensors recomputed, ${differ}${exact}`;
}
