/**
 * What the cells of a sweep say about the claims of rank stabilisation (arXiv 2312.03732), each with the numbers that decide
 * it. A claim that the cells cannot decide says so.
 */

import { CONVENTION_NAMES, CONVENTIONS, type Convention } from "../../adapters/adapter.ts";
import type { Finding, Verdict } from "../report/document.ts";
import { mean } from "../report/means.ts";
import {
  type CellResult,
  firstGradNorm,
  groupSeeds,
  meanGradNorm,
  type SeedGroup,
  type Spread,
  spreadOf,
  tailLoss,
} from "./cell-result.ts";
import { FIRST_NORM_EXPONENTS, fitExponent } from "./scaling-laws.ts";
import { formatNumber } from "./words.ts";

/** Halfway between the exponents −1/2 and 0 that tell the conventions apart. */
const COLLAPSE_EXPONENT = -0.25;

/** Exponents of the first step are those of one random adapter for each rank. */
const FIRST_STEP_TOLERANCE = 0.1;

/** For each learning rate, and over them. */
export function findClaims(cells: readonly CellResult[]): readonly Finding[] {
  const groups = groupSeeds(cells);
  const lrs = [...new Set(groups.map(({ lr }) => lr))];
  const laws = CONVENTIONS.flatMap((scaling) => firstStepLaw(scaling, cells));
  // One step says nothing of where training leads.
  if (cells.every(({ steps }) => steps.length <= 1)) return laws;
  return [
    ...laws,
    ...lrs.flatMap((lr) => {
      const at = lrs.length > 1 ? ` at learning rate ${lr}` : "";
      const of = (scaling: Convention) => groups.filter((group) => group.scaling === scaling && group.lr === lr);
      return claimsOf(of("lora"), of("rslora"), at);
    }),
    ...(lrs.length > 1 ? CONVENTIONS.flatMap((scaling) => bestRates(scaling, groups)) : []),
  ];
}

function claimsOf(lora: readonly SeedGroup[], rslora: readonly SeedGroup[], at: string): Finding[] {
  const findings: Finding[] = [];
  if (lora.length > 1) findings.push(ranksAlike(lora, at));
  if (rslora.length > 1) findings.push(ranksOrdered(rslora, at), highestBelowLowest(rslora, at));
  if (lora.length > 1 && rslora.length > 1) findings.push(loraDiffersLess(lora, rslora, at));
  if (lora.length > 1) findings.push(normCollapses(lora, at));
  if (rslora.length > 1) findings.push(normStays(rslora, at));
  return findings;
}

/** ‖∂L/∂up‖ ∝ 1/√rank under lora, and the same for every rank under rslora. */
function firstStepLaw(scaling: Convention, cells: readonly CellResult[]): Finding[] {
  // Every learning rate starts from the same adapters.
  const own = cells.filter((cell) => cell.scaling === scaling && cell.startsPlain);
  const groups = groupSeeds(own.map((cell) => ({ ...cell, lr: 0 })));
  if (groups.length < 2) return [];
  const norms = groups.map((group): [number, number] => [group.rank, spreadOf(group, firstGradNorm).mean]);
  const exponent = fitExponent(norms);
  const expected = FIRST_NORM_EXPONENTS[scaling];
  const holds = exponent !== undefined && Math.abs(exponent - expected) <= FIRST_STEP_TOLERANCE;
  const law = scaling === "lora" ? "falls as 1/√rank" : "is the same for all ranks";
  return [
    {
      verdict: decide(exponent !== undefined, holds),
      claim: `${CONVENTION_NAMES[scaling]}: the gradient norm of the first step ${law}`,
      evidence: `${listOf(norms)}: rank^${formatNumber(exponent)}, expected ${formatNumber(expected)} ± ${FIRST_STEP_TOLERANCE}`,
    },
  ];
}

function ranksAlike(groups: readonly SeedGroup[], at: string): Finding {
  const { range, spreads } = lossesOf(groups);
  const seedSpread = mean(spreads.map(({ low, high }) => high - low));
  return {
    verdict: decide(severalSeeds(groups) && Number.isFinite(range), range <= seedSpread),
    claim: `LoRA: ranks end alike, within what seeds make of one rank${at}`,
    evidence: `final losses ${listLosses(groups)}: ranks differ by ${formatNumber(range)}, seeds by ${formatNumber(seedSpread)}`,
  };
}

function ranksOrdered(groups: readonly SeedGroup[], at: string): Finding {
  const { spreads } = lossesOf(groups);
  const pairs = spreads.length - 1;
  const falling = spreads.filter(({ mean }, index) => index > 0 && mean < (spreads[index - 1]?.mean ?? 0)).length;
  return {
    verdict: falling === pairs ? "holds" : "fails",
    claim: `rsLoRA: each rank ends below the next lower one${at}`,
    evidence: `final losses ${listLosses(groups)}: ${falling} of ${pairs} steps up in rank lower the loss`,
  };
}

function highestBelowLowest(groups: readonly SeedGroup[], at: string): Finding {
  const { spreads } = lossesOf(groups);
  const [lowest, highest] = [spreads[0] as Spread, spreads.at(-1) as Spread];
  const [first, last] = [groups[0]?.rank, groups.at(-1)?.rank];
  return {
    verdict: highest.mean < lowest.mean ? "holds" : "fails",
    claim: `rsLoRA: the highest rank ends below the lowest${at}`,
    evidence: `rank ${last}: ${formatNumber(highest.mean)}, rank ${first}: ${formatNumber(lowest.mean)}`,
  };
}

function loraDiffersLess(lora: readonly SeedGroup[], rslora: readonly SeedGroup[], at: string): Finding {
  const [own, other] = [lossesOf(lora).range, lossesOf(rslora).range];
  return {
    verdict: decide(Number.isFinite(own) && Number.isFinite(other), own < other),
    claim: `LoRA's ranks differ less than rsLoRA's${at}`,
    evidence: `final losses differ by ${formatNumber(own)} between ranks under LoRA, by ${formatNumber(other)} under rsLoRA`,
  };
}

function normCollapses(groups: readonly SeedGroup[], at: string): Finding {
  const { norms, exponent } = normsOf(groups);
  return {
    verdict: decide(exponent !== undefined, (exponent ?? 0) < COLLAPSE_EXPONENT),
    claim: `LoRA: the mean gradient norm collapses as the rank grows${at}`,
    evidence: `${listOf(norms)}: rank^${formatNumber(exponent)} (1/√rank is −0.5)`,
  };
}

function normStays(groups: readonly SeedGroup[], at: string): Finding {
  const { norms, exponent } = normsOf(groups);
  const values = norms.map(([, norm]) => norm);
  const ratio = Math.max(...values) / Math.min(...values);
  return {
    verdict: decide(exponent !== undefined, ratio < 10 && (exponent ?? 0) > COLLAPSE_EXPONENT),
    claim: `rsLoRA: the mean gradient norm keeps its order of magnitude at every rank${at}`,
    evidence: `${listOf(norms)}: rank^${formatNumber(exponent)}, largest to smallest ${formatNumber(ratio)}`,
  };
}

/** Which learning rate ended lowest at each rank, and whether that depends on the rank. */
function bestRates(scaling: Convention, groups: readonly SeedGroup[]): Finding[] {
  const own = groups.filter((group) => group.scaling === scaling);
  const ranks = [...new Set(own.map(({ rank }) => rank))];
  if (ranks.length < 2) return [];
  const best = ranks.map((rank) => {
    const rates = own
      .filter((group) => group.rank === rank)
      .map(({ lr, cells }) => ({ lr, loss: mean(cells.map(tailLoss)) }));
    return { rank, ...rates.reduce((a, b) => (b.loss < a.loss ? b : a)) };
  });
  const different = new Set(best.map(({ lr }) => lr)).size;
  return [
    {
      verdict: decide(
        best.every(({ loss }) => Number.isFinite(loss)),
        different === 1,
      ),
      claim: `${CONVENTION_NAMES[scaling]}: one learning rate is best for all ranks`,
      evidence: best.map(({ rank, lr, loss }) => `rank ${rank}: ${lr} (loss ${formatNumber(loss)})`).join(", "),
    },
  ];
}

function lossesOf(groups: readonly SeedGroup[]): { spreads: readonly Spread[]; range: number } {
  const spreads = groups.map((group) => spreadOf(group, tailLoss));
  const means = spreads.map((spread) => spread.mean);
  return { spreads, range: Math.max(...means) - Math.min(...means) };
}

function normsOf(groups: readonly SeedGroup[]): { norms: [number, number][]; exponent: number | undefined } {
  const norms = groups.map((group): [number, number] => [group.rank, spreadOf(group, meanGradNorm).mean]);
  return { norms, exponent: fitExponent(norms) };
}

function severalSeeds(groups: readonly SeedGroup[]): boolean {
  return groups.some(({ cells }) => cells.length > 1);
}

/** A run that diverged has no loss to compare: where ranks end then says nothing of how far they are apart. */
function decide(canBeDecided: boolean, holds: boolean): Verdict {
  if (!canBeDecided) return "open";
  return holds ? "holds" : "fails";
}

function listLosses(groups: readonly SeedGroup[]): string {
  return listOf(groups.map((group) => [group.rank, spreadOf(group, tailLoss).mean]));
}

function listOf(values: readonly (readonly [rank: number, value: number])[]): string {
  return values.map(([rank, value]) => `${formatNumber(value)} (rank ${rank})`).join(", ");
}
