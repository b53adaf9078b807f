/**
 * What a schedule may be told besides its name, by the names of transformers' `lr_scheduler_kwargs`.
 */

import { UsageError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import type { Scheduler } from "./schedule.ts";

/** As on the command line: `num_cycles=2`. */
export type SchedulerArguments = Readonly<Record<string, string | number>>;

export const CURVES = ["linear", "cosine", "1-sqrt"] as const;
export type Curve = (typeof CURVES)[number];

export interface ScheduleSettings {
  readonly numbers: Readonly<Partial<Record<NumberArgument, number>>>;
  readonly warmupType: Curve;
  readonly decayType: Curve;
}

const NUMBERS = [
  "num_cycles",
  "lr_end",
  "power",
  "timescale",
  "min_lr",
  "max_lr",
  "min_lr_rate",
  "warmup_lr_rate",
  "num_decay_steps",
  "num_stable_steps",
  "min_lr_ratio",
  "factor",
  "patience",
  "threshold",
  "cooldown",
  "warmup",
  "eps",
  "reset_start",
] as const;
export type NumberArgument = (typeof NUMBERS)[number];

type Argument = NumberArgument | "warmup_type" | "decay_type";

/** Which arguments each schedule takes. */
const ARGUMENTS: Readonly<Record<Scheduler, readonly Argument[]>> = {
  constant: [],
  constant_with_warmup: [],
  linear: [],
  cosine: ["num_cycles"],
  cosine_with_restarts: ["num_cycles"],
  polynomial: ["lr_end", "power"],
  inverse_sqrt: ["timescale"],
  cosine_with_min_lr: ["num_cycles", "min_lr", "min_lr_rate"],
  cosine_warmup_with_min_lr: ["num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate"],
  warmup_stable_decay: [
    "num_decay_steps",
    "num_stable_steps",
    "num_cycles",
    "min_lr_ratio",
    "warmup_type",
    "decay_type",
  ],
  reduce_lr_on_plateau: ["factor", "patience", "threshold", "cooldown", "min_lr", "eps"],
  greedy: ["factor", "patience", "threshold", "cooldown", "warmup", "min_lr", "max_lr", "eps", "reset_start"],
};

/** @throws {UsageError} naming an argument that the schedule does not take or that is no number */
export function settingsOf(scheduler: Scheduler, given: SchedulerArguments): ScheduleSettings {
  const known: readonly string[] = ARGUMENTS[scheduler];
  const numbers: Partial<Record<NumberArgument, number>> = {};
  const curves = new Map<string, Curve>();
  for (const [name, value] of Object.entries(given)) {
    if (!known.includes(name)) {
      const expected = known.length === 0 ? "none" : known.join(", ");
      throw new UsageError(`scheduler ${scheduler} has no argument ${quote(name)}, expected ${expected}`);
    }
    if (isNumberArgument(name)) numbers[name] = toNumber(name, value);
    else curves.set(name, toCurve(name, value));
  }
  return {
    numbers,
    warmupType: curves.get("warmup_type") ?? "linear",
    decayType: curves.get("decay_type") ?? "cosine",
  };
}

function isNumberArgument(name: string): name is NumberArgument {
  return (NUMBERS as readonly string[]).includes(name);
}

function toNumber(name: string, value: string | number): number {
  const number = typeof value === "number" ? value : Number(value.trim() === "" ? Number.NaN : value);
  if (Number.isFinite(number) && number >= 0) return number;
  throw new UsageError(`expected a number of at least 0, got ${quote(String(value))}`, { subject: name });
}

function toCurve(name: string, value: string | number): Curve {
  const curve = CURVES.find((candidate) => candidate === value);
  if (curve !== undefined) return curve;
  throw new UsageError(`expected one of ${CURVES.join(", ")}, got ${quote(String(value))}`, { subject: name });
}
