/**
 * What `sweep` returns, what `report.json` holds and what `report.html` shows. Nothing in it depends on when or in how many
 * parts cells were trained.
 */

import { CONVENTION_NAMES } from "../../adapters/adapter.ts";
import type { ReportDocument, TableBlock } from "../report/document.ts";
import { renderDocument } from "../report/render.ts";
import { settingName } from "../settings-words.ts";
import {
  type CellResult,
  finalLoss,
  groupSeeds,
  lastEvalLoss,
  meanGradNorm,
  meanModuleNorms,
  type SeedGroup,
  spreadOf,
  tailLoss,
} from "./cell-result.ts";
import { chartSweep } from "./charts.ts";
import { findClaims } from "./findings.ts";
import { tableScales } from "./scale-table.ts";
import type { SweepSettings } from "./sweep-record.ts";
import { formatNumber } from "./words.ts";

/** Keys of cells are those of metrics.jsonl; a number that is not finite is null. */
export interface SweepResult {
  readonly base: string;
  readonly data: string;
  readonly optimizer: string;
  readonly cells: readonly CellReport[];
  readonly claims: readonly { readonly claim: string; readonly verdict: string; readonly evidence: string }[];
}

export interface CellReport {
  readonly rank: number;
  readonly scaling: string;
  readonly lr: number;
  readonly seed: number;
  readonly folder: string;
  readonly steps: readonly {
    readonly step: number;
    readonly loss: number;
    readonly grad_norm: number;
    readonly eval_loss?: number;
  }[];
  /** Of the last step. */
  readonly final_loss: number | null;
  /** Mean over the tokens of the last tenth of the steps: what claims compare. */
  readonly tail_loss: number | null;
  readonly eval_loss: number | null;
  readonly mean_grad_norm: number | null;
  readonly diverged: string | null;
  readonly modules: readonly {
    readonly module: string;
    readonly rank: number;
    readonly alpha: number;
    readonly scale: number;
    readonly mean_grad_norm: number | null;
  }[];
}

export interface SweepFacts {
  readonly base: string;
  readonly data: string;
  readonly optimizer: "adamw" | "sgd";
}

export function describeResult(facts: SweepFacts, cells: readonly CellResult[]): SweepResult {
  return { ...facts, cells: cells.map(describeCell), claims: findClaims(cells) };
}

function describeCell(cell: CellResult): CellReport {
  const norms = meanModuleNorms(cell);
  const { rank, scaling, lr, seed, folder, diverged } = cell;
  return {
    rank,
    scaling,
    lr,
    seed,
    folder,
    steps: cell.steps.map(({ step, loss, gradNorm, evalLoss }) => ({
      step,
      loss,
      grad_norm: gradNorm,
      ...(evalLoss !== undefined && { eval_loss: evalLoss }),
    })),
    final_loss: finite(finalLoss(cell)),
    tail_loss: finite(tailLoss(cell)),
    eval_loss: finite(lastEvalLoss(cell)),
    mean_grad_norm: finite(meanGradNorm(cell)),
    diverged,
    modules: cell.modules.map(({ name, rank, alpha, scale }, index) => ({
      module: name,
      rank,
      alpha,
      scale,
      mean_grad_norm: finite(norms[index]),
    })),
  };
}

function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}

/** One self-contained HTML file. */
export function writeSweepReport(facts: SweepFacts, settings: SweepSettings, cells: readonly CellResult[]): string {
  const groups = groupSeeds(cells);
  const steps = Math.max(...cells.map((cell) => cell.steps.at(-1)?.step ?? 0));
  const count = (values: readonly unknown[]) => String(new Set(values).size);
  const document: ReportDocument = {
    title: "Sweep over ranks and scalings",
    lead: `${facts.base} on ${facts.data}: ${cells.length} runs of ${steps} steps with ${facts.optimizer}. LoRA scales by alpha / rank, rsLoRA by alpha / √rank.`,
    sections: [
      {
        title: "",
        blocks: [
          {
            kind: "facts",
            facts: [
              { label: "ranks", value: count(cells.map(({ rank }) => rank)) },
              { label: "scalings", value: count(cells.map(({ scaling }) => scaling)) },
              { label: "learning rates", value: count(cells.map(({ lr }) => lr)) },
              { label: "seeds", value: count(cells.map(({ seed }) => seed)) },
              { label: "steps", value: String(steps) },
            ],
          },
        ],
      },
      { title: "What the runs say", blocks: [{ kind: "findings", findings: findClaims(cells) }] },
      { title: "Figures", blocks: [{ kind: "charts", charts: chartSweep(cells) }] },
      { title: "Effective scales", blocks: [tableScales(groups)] },
      { title: "Runs", blocks: [tableGroups(groups)] },
      {
        title: "Settings",
        blocks: [
          {
            kind: "table",
            caption: "What all runs have in common, and what they vary; data by their SHA-256.",
            head: ["setting", "value"],
            rows: Object.entries(settings).map(([name, value]) => [settingName(name), value]),
          },
        ],
      },
    ],
  };
  return renderDocument(document);
}

function tableGroups(groups: readonly SeedGroup[]): TableBlock {
  const rows = groups.map((group) => {
    const loss = spreadOf(group, tailLoss);
    const evaluated = group.cells.flatMap((cell) => lastEvalLoss(cell) ?? []);
    const diverged = group.cells.filter((cell) => cell.diverged !== null).length;
    return [
      CONVENTION_NAMES[group.scaling],
      String(group.rank),
      String(group.lr),
      formatNumber(loss.mean),
      group.cells.length > 1 ? `${formatNumber(loss.low)} … ${formatNumber(loss.high)}` : "",
      evaluated.length === 0 ? "" : formatNumber(Math.exp(evaluated.reduce((a, b) => a + b, 0) / evaluated.length)),
      formatNumber(spreadOf(group, meanGradNorm).mean),
      diverged === 0 ? "" : `${diverged} of ${group.cells.length}`,
    ];
  });
  const head = ["scaling", "rank", "learning rate", "loss", "range", "perplexity", "gradient norm", "diverged"];
  const used = head.flatMap((_, column) => (rows.some((row) => row[column] !== "") ? [column] : []));
  const pick = (row: readonly string[]) => used.map((column) => row[column] ?? "");
  return {
    kind: "table",
    caption: "Loss: training loss over the last tenth of the steps, mean and range over the seeds.",
    head: pick(head),
    rows: rows.map(pick),
  };
}
