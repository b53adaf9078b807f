/**
 * Rows of tables about modules: those that differ in nothing but the layer's number share one.
 */

import { escapeText } from "../core/text.ts";

export interface ModuleGroup<Row> {
  readonly cells: readonly string[];
  readonly count: number;
  /** With `*` for numbers, escaped. */
  readonly name: string;
  readonly rows: readonly Row[];
}

/** In the order of their first modules. */
export function groupModules<Row extends { readonly name: string }>(
  modules: readonly Row[],
  cellsOf: (module: Row) => readonly string[],
): ModuleGroup<Row>[] {
  const groups = new Map<string, { cells: readonly string[]; name: string; rows: Row[] }>();
  for (const module of modules) {
    const cells = cellsOf(module);
    const name = escapeText(module.name).replace(/\.\d+(?=\.|$)/g, ".*");
    const key = [...cells, name].join("\n");
    const group = groups.get(key) ?? { cells, name, rows: [] };
    group.rows.push(module);
    groups.set(key, group);
  }
  return Array.from(groups.values(), (group) => ({ ...group, count: group.rows.length }));
}

export function formatChange(before: number, after: number): string {
  return `${formatNumber(before)} → ${formatNumber(after)}`;
}

/** Six digits, no zeros behind. */
export function formatNumber(value: number): string {
  return String(Number(value.toPrecision(6)));
}

/** Lowest and highest: `8`, `4 … 16`. */
export function formatRange(values: readonly number[]): string {
  return formatEnds(values, formatNumber);
}

/** Lowest and highest of relative errors, two digits: `0.012 … 0.034`. */
export function formatErrors(errors: readonly number[]): string {
  return formatEnds(errors, (value) => String(Number(value.toPrecision(2))));
}

function formatEnds(values: readonly number[], format: (value: number) => string): string {
  const [first = 0] = values;
  const low = format(values.reduce((least, value) => Math.min(least, value), first));
  const high = format(values.reduce((most, value) => Math.max(most, value), first));
  return low === high ? low : `${low} … ${high}`;
}
