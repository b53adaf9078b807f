/**
 * Adapted experts, one by one or stacked as PEFT has them → for each layer of all experts the factors of each.
 *
 * `….experts` with the parameters `gate_up_proj`, `down_proj`, … of PEFT (down [E·rank, in], up [out, rank·E]); modules
 * `….experts.<n>.gate_proj` or, in Mixtral, `….experts.<n>.w1`. `gate_up_proj` is gate and up on top of each other: both
 * share `down`, and each has its half of the rows of `up`.
 */

import { UnsupportedError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/json.ts";
import { quote } from "../../core/text.ts";
import type { AdapterModule } from "../adapter.ts";
import { modelTypes } from "../architecture/model-types.ts";
import { type MatrixView, sliceColumns, sliceRows } from "../matrix.ts";
import { loraFactors } from "../output/lora-factors.ts";
import { INPUTS_FIRST_TYPES } from "../resolve/expert-names.ts";

export const EXPERT_LAYERS = ["gate_proj", "up_proj", "down_proj"] as const;
export type ExpertLayer = (typeof EXPERT_LAYERS)[number];

/** One layer of all experts. */
export interface ExpertStack {
  /** Path of the experts without `.experts`: `model.layers.0.mlp`. */
  readonly path: string;
  readonly layer: ExpertLayer;
  readonly rank: number;
  readonly scale: number;
  readonly kind: "experts";
  /** down [rank, in] and up [out, rank] of each expert. */
  readonly experts: readonly { readonly down: MatrixView; readonly up: MatrixView }[];
}

/**
 * Splits the modules into stacks of experts and the others, which keep their order.
 *
 * @param config config.json of the base: stacked experts look alike where inputs come first and where they do not
 */
export function takeExperts(
  modules: readonly AdapterModule[],
  target: string,
  config: JsonObject | undefined,
): { readonly stacks: readonly ExpertStack[]; readonly others: readonly AdapterModule[] } {
  const others: AdapterModule[] = [];
  const stacks: ExpertStack[] = [];
  const single = new Map<string, { readonly number: number; readonly module: AdapterModule }[]>();
  for (const module of modules) {
    const [, path, number, own = ""] = SINGLE.exec(module.name) ?? [];
    const layer = SINGLE_NAMES.get(own);
    if (module.kind === "experts") {
      assertOutputsFirst(module, target, config);
      stacks.push(...splitStack(module, target));
    } else if (path === undefined || layer === undefined) others.push(module);
    else {
      const key = `${path} ${layer}`;
      single.set(key, [...(single.get(key) ?? []), { number: Number(number), module }]);
    }
  }
  for (const [key, group] of single) {
    const [path = "", layer = ""] = key.split(" ");
    stacks.push(stackSingle(path, layer as ExpertLayer, group, target));
  }
  return { stacks, others };
}

function assertOutputsFirst({ name, parameter }: AdapterModule, target: string, config: JsonObject | undefined): void {
  const subject = `${name}.${parameter}`;
  if (config === undefined) {
    throw refusal(subject, "the base must show how its experts are stacked, expected a config.json", WITH_BASE);
  }
  const types = modelTypes(config);
  if (!INPUTS_FIRST_TYPES.some((type) => types.has(type))) return;
  throw refusal(subject, `the experts of this base have their inputs first, which ${target} cannot take`);
}

function splitStack(module: AdapterModule, target: string): ExpertStack[] {
  const { name, parameter = "", rank, scale, expertLayout } = module;
  const [, path] = /^(.*)\.experts$/.exec(name) ?? [];
  const layers = STACKED_NAMES.get(parameter);
  if (path === undefined || layers === undefined || expertLayout?.swapped !== false) {
    const why =
      expertLayout?.swapped === false
        ? `are no ${[...STACKED_NAMES.keys()].join(", ")} of experts`
        : "may have inputs and outputs swapped (written by a PEFT before 0.19.1)";
    throw refusal(`${name}.${parameter}`, `its factors ${why}, which ${target} cannot take`);
  }
  const { down, up } = loraFactors(module, target);
  const count = down.rows / rank;
  const columnsOf = (expert: number) =>
    expertLayout.order === "rank-major" ? sliceColumns(up, expert, rank, count) : sliceColumns(up, expert * rank, rank);
  const rows = up.rows / layers.length;
  if (!Number.isInteger(rows)) throw refusal(name, `expected an even number of outputs, got ${up.rows}`);
  return layers.map((layer, part) => ({
    path,
    layer,
    rank,
    scale,
    kind: "experts",
    experts: Array.from({ length: count }, (_, expert) => ({
      down: sliceRows(down, expert * rank, rank),
      up: sliceRows(columnsOf(expert), part * rows, rows),
    })),
  }));
}

function stackSingle(
  path: string,
  layer: ExpertLayer,
  group: readonly { readonly number: number; readonly module: AdapterModule }[],
  target: string,
): ExpertStack {
  const ordered = group.toSorted((a, b) => a.number - b.number);
  const first = ordered[0]?.module;
  const factors = ordered.map(({ module }) => loraFactors(module, target));
  const whole = ordered.every(({ number }, index) => number === index);
  const alike = ordered.every(
    ({ module }, index) =>
      module.rank === first?.rank &&
      module.scale === first.scale &&
      factors[index]?.down.columns === factors[0]?.down.columns &&
      factors[index]?.up.rows === factors[0]?.up.rows,
  );
  if (first === undefined || !whole || !alike) {
    const expected = whole ? "equal ranks, scales and sizes" : "every expert from 0 on";
    throw refusal(`${path}.experts`, `${target} stacks the experts, expected ${expected} in ${quote(layer)}`);
  }
  const { rank, scale } = first;
  return { path, layer, rank, scale, kind: "experts", experts: factors.map(({ down, up }) => ({ down, up })) };
}

function refusal(subject: string, problem: string, hint?: string): UnsupportedError {
  return new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { subject, ...(hint !== undefined && { hint }) });
}

const WITH_BASE = "pass --base with the folder of the base";

const SINGLE = /^(.*)\.experts\.(\d+)\.(\w+)$/;

const SINGLE_NAMES: ReadonlyMap<string, ExpertLayer> = new Map([
  ["gate_proj", "gate_proj"],
  ["up_proj", "up_proj"],
  ["down_proj", "down_proj"],
  ["w1", "gate_proj"],
  ["w3", "up_proj"],
  ["w2", "down_proj"],
]);

/** Rows on top of each other, in order. */
const STACKED_NAMES: ReadonlyMap<string, readonly ExpertLayer[]> = new Map([
  ["gate_up_proj", ["gate_proj", "up_proj"]],
  ["gate_proj", ["gate_proj"]],
  ["up_proj", ["up_proj"]],
  ["down_proj", ["down_proj"]],
]);
