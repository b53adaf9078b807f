/**
 * The settings of a run as people read them, for its report.
 */

import type { TrainPlan } from "./plan.ts";

export function settingsInWords({ settings, report, data, evalData }: TrainPlan): ReadonlyMap<string, string> {
  const { adapter, optimiser, run } = settings;
  // A number of steps wins over epochs, which then say nothing.
  const length = run.steps === undefined ? {} : { epochs: undefined };
  const named = Object.entries({ ...adapter, ...optimiser, ...run, ...length }).flatMap(
    ([name, value]): [string, string][] => {
      const text = inWords(value);
      return text === undefined ? [] : [[settingName(name), text]];
    },
  );
  return new Map([
    ["base", report.base],
    ["data", data.summary.path],
    ...(evalData === undefined ? [] : [["evaluation data", evalData.summary.path] as const]),
    ["trained parameters", report.trainable.toLocaleString("en-US")],
    ...named,
  ]);
}

/** `maxLength` is `max length`. */
export function settingName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** `undefined` for what was not asked for. */
function inWords(value: unknown): string | undefined {
  if (value === undefined) return undefined;
  const list = value instanceof Map ? Array.from(value, ([key, entry]) => `${key} = ${entry}`) : value;
  if (Array.isArray(list)) return list.length === 0 ? undefined : list.join(", ");
  if (typeof list === "object") return inWords(new Map(Object.entries(list ?? {})));
  return String(list);
}
