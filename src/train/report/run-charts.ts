/**
 * The charts of one training run.
 */

import { lastPart } from "../../core/text.ts";
import type { Axis, CellChart, Chart, LineChart, Point, Series } from "./chart.ts";
import { mean } from "./means.ts";
import type { RunRecord, StepRecord } from "./run-record.ts";
import { smoothPoints, thinPoints } from "./thin.ts";

const STEP: Axis = { label: "step", scale: "linear" };
/** Columns of the matrix of modules and steps. */
const MAX_COLUMNS = 80;

/** Those for which the run has data. */
export function chartRun(run: RunRecord): readonly Chart[] {
  const { steps } = run;
  const evaluations = steps.flatMap(({ step, evalLoss }): Point[] =>
    evalLoss === undefined ? [] : [[step, evalLoss]],
  );
  const charts: Chart[] = [chartLoss(steps, evaluations)];
  if (evaluations.length > 0) charts.push(chartPerplexity(evaluations));
  const gradNorms = pointsOf(steps, ({ gradNorm }) => gradNorm);
  const ofGradients = { name: "all modules", label: "gradient norm", scale: "log" } as const;
  charts.push(curve("Gradient norm", ofGradients, gradNorms, "L2 norm over all trained tensors, before clipping."));
  if (steps.some(({ moduleGradNorms }) => moduleGradNorms.some((norm) => norm > 0))) {
    const norms = averageModules(run);
    charts.push(chartKinds(run, norms), chartModules(run, norms));
  }
  const rates = pointsOf(steps, ({ learningRate }) => learningRate);
  const speeds = pointsOf(steps, ({ tokensPerSecond }) => tokensPerSecond);
  charts.push(
    curve("Learning rate", { label: "learning rate" }, rates, "What each step multiplied its update by."),
    curve("Speed", { label: "tokens/s" }, speeds, "Scored tokens of a step by the time it took."),
  );
  return charts;
}

function chartLoss(steps: readonly StepRecord[], evaluations: readonly Point[]): LineChart {
  const loss = pointsOf(steps, (step) => step.loss);
  const smooth = smoothingWidth(steps.length);
  const training: Series[] =
    smooth > 1
      ? [
          { name: "training", mark: "faint-line", points: thinPoints(loss) },
          { name: "training", mark: "line", points: thinPoints(smoothPoints(loss, smooth)) },
        ]
      : [{ name: "training", mark: "line", points: loss }];
  const caption = `Cross-entropy per scored token, in nats${smooth > 1 ? `; the strong line is the mean of ${smooth} steps` : ""}.`;
  return lines("Loss", "loss", "linear", [...training, ...evaluated(evaluations)], caption);
}

function chartPerplexity(evaluations: readonly Point[]): LineChart {
  const points = evaluations.map(([step, loss]): Point => [step, Math.exp(loss)]);
  const caption = "exp of the mean loss over all scored tokens of the evaluation data.";
  return lines("Evaluation perplexity", "perplexity", "linear", evaluated(points), caption);
}

/** One number of each step; the line is called as its axis unless it has a name. */
function curve(
  title: string,
  {
    label,
    name = label,
    scale = "linear",
  }: { readonly label: string; readonly name?: string; readonly scale?: Axis["scale"] },
  points: readonly Point[],
  caption: string,
): LineChart {
  return lines(title, label, scale, [{ name, mark: "line", points: thinPoints(points) }], caption);
}

function lines(
  title: string,
  label: string,
  scale: Axis["scale"],
  series: readonly Series[],
  caption: string,
): LineChart {
  return { kind: "lines", title, caption, x: STEP, y: { label, scale }, panels: [], colours: "named", series };
}

function evaluated(points: readonly Point[]): Series[] {
  if (points.length === 0) return [];
  return [
    { name: "evaluation", mark: "line", points },
    { name: "evaluation", mark: "dots", points },
  ];
}

/** Mean norm of each module over stretches of steps. */
interface ModuleNorms {
  readonly starts: readonly number[];
  /** Steps in a stretch. */
  readonly width: number;
  /** One list for each module. */
  readonly norms: readonly (readonly number[])[];
}

function averageModules({ modules, steps }: RunRecord): ModuleNorms {
  const recorded = steps.filter(({ moduleGradNorms }) => moduleGradNorms.length > 0);
  const width = Math.ceil(recorded.length / MAX_COLUMNS);
  const stretches = Array.from({ length: Math.ceil(recorded.length / width) }, (_, index) =>
    recorded.slice(index * width, (index + 1) * width),
  );
  const norms = modules.map((_, index) =>
    stretches.map((stretch) => significant(mean(stretch.map(({ moduleGradNorms }) => moduleGradNorms[index] ?? 0)))),
  );
  return { starts: stretches.map((stretch) => stretch[0]?.step ?? 0), width, norms };
}

function chartKinds({ modules }: RunRecord, { starts, norms }: ModuleNorms): LineChart {
  const kinds = new Map<string, number[]>();
  modules.forEach(({ name }, index) => {
    const kind = lastPart(name);
    kinds.set(kind, [...(kinds.get(kind) ?? []), index]);
  });
  const series = [...kinds].map(([name, indices]): Series => {
    const points = starts.map(
      (step, column): Point => [step, median(indices.map((index) => norms[index]?.[column] ?? 0))],
    );
    return { name, mark: "line", points };
  });
  return lines(
    "Gradient norm by kind of module",
    "gradient norm",
    "log",
    series,
    "Median over the layers, before clipping.",
  );
}

function chartModules({ modules }: RunRecord, { starts, width, norms }: ModuleNorms): CellChart {
  const seen = norms.flat().filter((norm) => norm > 0);
  const [low, high] = [seen.reduce((a, b) => Math.min(a, b)), seen.reduce((a, b) => Math.max(a, b))];
  const cells = width === 1 ? "One cell for each module and step" : `Each cell is the mean of ${width} steps`;
  return {
    kind: "cells",
    title: "Gradient norm by module",
    caption: `${cells}; from ${low} (dark) to ${high} (bright), on a logarithmic scale.`,
    x: STEP,
    label: "gradient norm",
    rows: modules.map(({ name }) => name),
    columns: starts,
    values: norms,
  };
}

function pointsOf(steps: readonly StepRecord[], value: (step: StepRecord) => number): Point[] {
  return steps.map((step): Point => [step.step, value(step)]).filter(([, y]) => Number.isFinite(y));
}

/** About a fortieth of a run; single steps where it is short. */
function smoothingWidth(count: number): number {
  return count < 80 ? 1 : Math.round(count / 40);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** Four digits say all that a colour can. */
function significant(value: number): number {
  return Number(value.toPrecision(4));
}
