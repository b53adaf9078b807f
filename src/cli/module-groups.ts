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
