/**
 * The figures of a sweep: the course of the runs, and what ranks, seeds, modules and learning rates make of their end.
 */

import { CONVENTION_NAMES, type Convention } from "../../adapters/adapter.ts";
import { lastPart } from "../../core/text.ts";
import type { Chart, LineChart, Point, Series } from "../report/chart.ts";
import { mean } from "../report/means.ts";
import {
  type CellResult,
  firstGradNorm,
  groupSeeds,
  meanModuleNorms,
  type SeedGroup,
  spreadOf,
  tailLoss,
} from "./cell-result.ts";
import { conventionsOf, panelsOf, rankAxis } from "./chart-parts.ts";
import { FIRST_NORM_EXPONENTS } from "./scaling-laws.ts";
import { chartSteps } from "./step-charts.ts";

export function chartSweep(cells: readonly CellResult[]): readonly Chart[] {
  const groups = groupSeeds(cells);
  const lrs = [...new Set(groups.map(({ lr }) => lr))];
  const isLong = cells.some(({ steps }) => steps.length > 1);
  const charts = isLong
    ? lrs.flatMap((lr) => chartSteps(groups, lr, lrs.length > 1 ? `, learning rate ${lr}` : ""))
    : [];
  if (cells.every(({ startsPlain }) => startsPlain)) charts.push(chartFirstNorms(cells));
  if (isLong) charts.push(chartFinalLosses(groups, lrs));
  if (lrs.length > 1) charts.push(chartRates(groups));
  const byModule = chartModules(groups);
  if (byModule !== undefined) charts.push(byModule);
  return charts;
}

/** Against the law through the lowest rank. */
function chartFirstNorms(cells: readonly CellResult[]): LineChart {
  const groups = groupSeeds(cells.map((cell) => ({ ...cell, lr: 0 })));
  const measured = conventionsOf(groups).flatMap((scaling): Series[] => {
    const own = groups.filter((group) => group.scaling === scaling);
    const points = own.flatMap(({ rank, cells }) => cells.map((cell): Point => [rank, firstGradNorm(cell)]));
    const start = own[0] === undefined ? Number.NaN : spreadOf(own[0], firstGradNorm).mean;
    const law = own.map(
      ({ rank }): Point => [rank, start * (rank / (own[0]?.rank ?? 1)) ** FIRST_NORM_EXPONENTS[scaling]],
    );
    const name = CONVENTION_NAMES[scaling];
    return [
      { name, mark: "faint-line", points: law },
      { name, mark: "dots", points },
    ];
  });
  return {
    kind: "lines",
    title: "Gradient norm of the first step",
    caption:
      "One dot for each cell. Lines: the law from the lowest rank on, 1/√rank under LoRA and constant under rsLoRA.",
    x: rankAxis(groups),
    y: { label: "gradient norm", scale: "log" },
    panels: [],
    colours: "named",
    series: measured,
  };
}

function chartFinalLosses(groups: readonly SeedGroup[], lrs: readonly number[]): LineChart {
  const series = lrs.flatMap((lr) =>
    conventionsOf(groups).map((scaling): Series => {
      const own = groups.filter((group) => group.scaling === scaling && group.lr === lr);
      const spreads = own.map((group) => ({ rank: group.rank, ...spreadOf(group, tailLoss) }));
      return {
        name: lrs.length > 1 ? `${CONVENTION_NAMES[scaling]}, ${lr}` : CONVENTION_NAMES[scaling],
        mark: "line",
        points: spreads.map(({ rank, mean }): Point => [rank, mean]),
        band: spreads.map(({ rank, low, high }) => [rank, low, high]),
      };
    }),
  );
  return {
    kind: "lines",
    title: "Final loss against rank",
    caption: "Training loss over the last tenth of the steps; mean and range over the seeds.",
    x: rankAxis(groups),
    y: { label: "loss", scale: "linear" },
    panels: [],
    colours: "named",
    series,
  };
}

function chartRates(groups: readonly SeedGroup[]): LineChart {
  const ranks = [...new Set(groups.map(({ rank }) => rank))].sort((a, b) => a - b);
  const series = conventionsOf(groups).flatMap((scaling) =>
    ranks.map((rank): Series => {
      const own = groups.filter((group) => group.scaling === scaling && group.rank === rank);
      const points = own.map((group): Point => [group.lr, spreadOf(group, tailLoss).mean]);
      return { name: `rank ${rank}`, panel: CONVENTION_NAMES[scaling], mark: "line", points };
    }),
  );
  return {
    kind: "lines",
    title: "Final loss against learning rate",
    caption: "Where a line is lowest is the best learning rate of its rank.",
    x: { label: "learning rate", scale: "log" },
    y: { label: "loss", scale: "linear" },
    panels: panelsOf(groups),
    colours: "ordered",
    series,
  };
}

/** Mean over steps, seeds and layers for each kind of module. */
function chartModules(groups: readonly SeedGroup[]): LineChart | undefined {
  const norms = new Map<string, Map<number, number[]>>();
  for (const { rank, scaling, cells } of groups) {
    for (const cell of cells) {
      meanModuleNorms(cell).forEach((norm, index) => {
        const name = cell.modules[index]?.name ?? "";
        const key = JSON.stringify([scaling, lastPart(name)]);
        const ranks = norms.get(key) ?? new Map<number, number[]>();
        norms.set(key, ranks.set(rank, [...(ranks.get(rank) ?? []), norm]));
      });
    }
  }
  if (norms.size === 0) return undefined;
  const series = [...norms].map(([key, ranks]): Series => {
    const [scaling, name] = JSON.parse(key) as [Convention, string];
    const points = [...ranks].map(([rank, values]): Point => [rank, mean(values)]);
    return { name, panel: CONVENTION_NAMES[scaling], mark: "line", points };
  });
  return {
    kind: "lines",
    title: "Gradient norm by kind of module",
    caption: "Mean over the steps, layers, seeds and learning rates, before clipping.",
    x: rankAxis(groups),
    y: { label: "gradient norm", scale: "log" },
    panels: panelsOf(groups),
    colours: "named",
    series,
  };
}
