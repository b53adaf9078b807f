/**
 * A training run → `report.html`: what it did, in numbers first, then in charts, then the scales it trained with.
 */

import { rangeOf } from "../../core/range.ts";
import { lastPart } from "../../core/text.ts";
import type { ReportDocument, TableBlock } from "./document.ts";
import { lastSteps, meanLoss } from "./means.ts";
import { renderDocument } from "./render.ts";
import { chartRun } from "./run-charts.ts";
import type { RunRecord, TrainedModule } from "./run-record.ts";

/** One self-contained HTML file. */
export function writeReport(run: RunRecord): string {
  return renderDocument(describeRun(run));
}

function describeRun(run: RunRecord): ReportDocument {
  const { title, settings, modules, steps } = run;
  return {
    title,
    lead: `${modules.length} modules trained for ${steps.length} steps.`,
    sections: [
      { title: "", blocks: [{ kind: "facts", facts: factsOf(run) }] },
      { title: "Course of the run", blocks: steps.length === 0 ? [] : [{ kind: "charts", charts: chartRun(run) }] },
      { title: "Effective scales", blocks: [tableScales(modules)] },
      {
        title: "Settings",
        blocks: [
          { kind: "table", caption: "What the run was asked for.", head: ["setting", "value"], rows: [...settings] },
        ],
      },
    ],
  };
}

function factsOf({ steps, modules }: RunRecord): { label: string; value: string }[] {
  const last = steps.at(-1);
  if (last === undefined) return [];
  const tail = lastSteps(steps);
  const evaluations = steps.flatMap(({ evalLoss }) => (evalLoss === undefined ? [] : [evalLoss]));
  const tokens = steps.reduce((sum, step) => sum + step.tokens, 0);
  const seconds = steps.reduce(
    (sum, step) => sum + (step.tokensPerSecond > 0 ? step.tokens / step.tokensPerSecond : 0),
    0,
  );
  return [
    { label: "steps", value: String(last.step) },
    { label: `loss, last ${tail.length === 1 ? "step" : `${tail.length} steps`}`, value: short(meanLoss(tail)) },
    ...(evaluations.length === 0
      ? []
      : [{ label: "best perplexity", value: short(Math.exp(Math.min(...evaluations))) }]),
    ...(modules.length === 0 ? [] : [{ label: "effective scale", value: scalesInWords(modules) }]),
    { label: "scored tokens", value: tokens.toLocaleString("en-US") },
    ...(seconds === 0 ? [] : [{ label: "tokens/s", value: Math.round(tokens / seconds).toLocaleString("en-US") }]),
  ];
}

function scalesInWords(modules: readonly TrainedModule[]): string {
  const [low, high] = rangeOf(modules.map(({ scale }) => scale)).map(short);
  return low === high ? `${low}` : `${low} … ${high}`;
}

/** Modules of equal rank, alpha and convention share a row. */
function tableScales(modules: readonly TrainedModule[]): TableBlock {
  const groups = new Map<string, TrainedModule[]>();
  for (const module of modules) {
    const key = JSON.stringify([module.rank, module.alpha, module.convention]);
    groups.set(key, [...(groups.get(key) ?? []), module]);
  }
  const rows = [...groups.values()].map((group) => {
    const { rank, alpha, convention, scale } = group[0] as TrainedModule;
    const kinds = [...new Set(group.map(({ name }) => lastPart(name)))];
    return [short(scale), convention, String(rank), short(alpha), String(group.length), kinds.join(", ")];
  });
  return {
    kind: "table",
    caption: "The factor in front of up · down: alpha / rank (lora) or alpha / √rank (rslora).",
    head: ["scale", "convention", "rank", "alpha", "modules", "kinds"],
    rows,
  };
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}
