/**
 * What adapters hold besides factors: whole tensors and token rows. One adapter may bring each, or several the same.
 */

import type { Override, TokenRows } from "../../../adapters/adapter.ts";
import { sameNumbers } from "../../../adapters/same-numbers.ts";
import { MismatchError } from "../../../core/errors.ts";
import { escapeText, quote } from "../../../core/text.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import type { WeightedAdapter } from "../../provenance.ts";

export interface WholeTensors {
  readonly overrides: readonly Override[];
  readonly tokenRows: readonly TokenRows[];
  /** Base weights under a delta, by name of the module. */
  readonly baseWeights: ReadonlyMap<string, TensorData>;
}

/** @throws {MismatchError} ADAPTER_MISMATCH with every tensor that differs between adapters, or has a weight but 1 */
export function joinWholeTensors(adapters: readonly WeightedAdapter[]): WholeTensors {
  const problems: string[] = [];
  const overrides = new Map<string, Override>();
  const tokenRows = new Map<string, TokenRows>();
  const baseWeights = new Map<string, TensorData>();
  for (const { adapter, weight } of adapters) {
    const take = <Value>(
      known: Map<string, Value>,
      name: string,
      value: Value,
      same: (a: Value, b: Value) => boolean,
    ) => {
      const before = known.get(name);
      if (weight !== 1) {
        problems.push(
          `${quote(name)}: ${escapeText(adapter.path)} replaces it, which only weight 1 can mean, got ${weight}`,
        );
      } else if (before !== undefined && !same(before, value)) {
        problems.push(`${quote(name)}: two adapters replace it by different numbers`);
      }
      known.set(name, value);
    };
    for (const override of adapter.overrides) {
      take(overrides, override.name, override, (a, b) => sameNumbers(a.value, b.value));
    }
    for (const rows of adapter.tokenRows) take(tokenRows, rows.name, rows, sameRows);
    for (const { name, baseWeight } of adapter.modules) {
      if (baseWeight !== undefined) take(baseWeights, name, baseWeight, sameNumbers);
    }
  }
  const [first, ...others] = adapters;
  if (others.some(({ adapter }) => adapter.keepsTie !== first?.adapter.keepsTie)) {
    problems.push("ensure_weight_tying: expected all adapters to agree on it");
  }
  if (problems.length > 0) {
    throw new MismatchError(
      "ADAPTER_MISMATCH",
      "the adapters replace tensors in ways that exclude each other",
      problems,
    );
  }
  return { overrides: [...overrides.values()], tokenRows: [...tokenRows.values()], baseWeights };
}

function sameRows(a: TokenRows, b: TokenRows): boolean {
  const sameIndices = a.indices.length === b.indices.length && a.indices.every((index, at) => index === b.indices[at]);
  return sameIndices && sameNumbers(a.rows, b.rows);
}
