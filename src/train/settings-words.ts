/**
 * The settings of a run as people read them, for its report.
 */

import type { TrainPlan } from "./plan.ts";

export function settingsInWords({ settings, report, data, evalData }: TrainPlan): ReadonlyMap<string, string> {
  const { adapter, optimiser, run } = settings;
  const named = Object.entries({ ...adapter, ...optimiser, ...run }).flatMap(([name, value]): [string, string][] => {
    const text = inWords(value);
    return text === undefined ? [] : [[name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`), text]];
  });
  return new Map([
    ["base", report.base],
    ["data", data.summary.path],
    ...(evalData === undefined ? [] : [["evaluation data", evalData.summary.path] as const]),
    ["trained parameters", report.trainable.toLocaleString("en-US")],
    ...named,
  ]);
}

/** `undefined` for what was not asked for. */
function inWords(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const list = value instanceof Map ? Array.from(value, ([key, entry]) => `${key} = ${entry}`) : value;
  if (Array.isArray(list)) return list.length === 0 ? undefined : list.join(", ");
  if (typeof list === "object") return inWords(new Map(Object.entries(list ?? {})));
  return String(list);
}
