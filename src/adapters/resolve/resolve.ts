/**
 * An adapter and a base → edits of base tensors, with every misfit collected.
 *
 * Replacements come first, then deltas, then single rows, so that the edits of one tensor are in the order in which they
 * apply. Every tensor of the adapter ends in an edit or is named by a line.
 */

import { quote } from "../../core/text.ts";
import type { Model } from "../../formats/model.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { Adapter, ExpertOrder } from "../adapter.ts";
import { type Architecture, describeArchitecture } from "../architecture/architecture.ts";
import { partOfPaths } from "../architecture/pipeline/parts.ts";
import { type ResolvedAdapter, replacesWhole, type TensorEdit } from "../edit.ts";
import { sameNumbers } from "../same-numbers.ts";
import type { ResolveContext } from "./context.ts";
import { withMap } from "./mapped-names.ts";
import { moduleEdits, tensorsOf } from "./module-edits.ts";
import { type NameFinder, NameIndex } from "./names.ts";
import { overrideEdit } from "./overrides.ts";
import { PipelineNames } from "./pipeline-names.ts";
import { Report } from "./report.ts";
import { shareTiedEdits } from "./ties.ts";
import { tokenRowsEdit } from "./token-rows.ts";

export interface ResolveOptions {
  /** Multiplies every delta of the adapter. */
  readonly weight: number;
  /** Overrides how the columns of expert factors are ordered. */
  readonly expertOrder?: ExpertOrder;
  /** Names that are settled by hand: module or parameter → tensor or constant of the base. */
  readonly map?: ReadonlyMap<string, string>;
}

/** @throws {UnsupportedError} when a target is quantised or has a dtype without arithmetic */
export async function resolveAdapter(
  adapter: Adapter,
  model: Model,
  options: ResolveOptions,
): Promise<ResolvedAdapter> {
  const architecture = describeArchitecture(model);
  const tensors = withAllEnds(model.store.tensors, architecture);
  const report = new Report();
  const context: ResolveContext = {
    adapter,
    model,
    architecture,
    names: withMap(namesOf(adapter, tensors, architecture), options.map ?? new Map(), model),
    weight: options.weight,
    expertOrder: options.expertOrder,
    report,
    edits: [],
  };
  for (const override of adapter.overrides) {
    report.collect(override.name, [override.value], () => {
      const edit = overrideEdit(override, context);
      if (!context.edits.some((other) => isSameReplacement(other, edit))) context.edits.push(edit);
    });
  }
  for (const module of adapter.modules) {
    report.collect(module.name, tensorsOf(module), () => context.edits.push(...moduleEdits(module, context)));
  }
  for (const rows of adapter.tokenRows) {
    report.collect(rows.name, [rows.rows], () => context.edits.push(tokenRowsEdit(rows, context)));
  }
  reportCollisions(context);
  report.accountFor(adapter.tensors.keys());
  return {
    edits: shareTiedEdits(context.edits, architecture.ties, tensors, adapter.keepsTie),
    used: report.used,
    problems: report.problems,
    unmatched: report.unmatched,
    warnings: report.warnings,
  };
}

/** Names of image pipelines have rules of their own, also where PEFT trained one part of them. */
function namesOf(
  { layout, flatNames, modules }: Adapter,
  tensors: ReadonlyMap<string, TensorData>,
  { renames }: Architecture,
): NameFinder {
  if (flatNames || layout === "diffusers") return new PipelineNames(tensors, renames);
  const own = layout === "peft" ? partOfPaths(modules.map(({ name }) => name)) : undefined;
  return own === undefined ? new NameIndex(tensors, renames) : new PipelineNames(tensors, renames, own);
}

/** The tensors of the base, also under the names that it does not store. */
function withAllEnds(stored: ReadonlyMap<string, TensorData>, { ties }: Architecture): ReadonlyMap<string, TensorData> {
  const all = new Map(stored);
  for (const { ends } of ties) {
    const held = ends.map((name) => stored.get(name)).find((tensor) => tensor !== undefined);
    if (held === undefined) continue;
    for (const name of ends) if (!stored.has(name)) all.set(name, { ...held, name });
  }
  return all;
}

/** Two modules on one tensor, or a module on a replaced tensor, are names that were matched too freely. */
function reportCollisions({ edits, report }: ResolveContext): void {
  const owners = new Map<string, TensorEdit>();
  for (const edit of edits) {
    if (isPartial(edit)) continue;
    const { tensor, module } = edit;
    const owner = owners.get(tensor);
    owners.set(tensor, edit);
    if (owner === undefined || isTrainedBias(owner, edit)) continue;
    const what = replacesWhole(edit) ? "replaces" : "changes";
    report.problems.push(`${quote(module)}: ${what} ${quote(tensor)}, which ${quote(owner.module)} changes too`);
  }
}

/** PEFT saves a parameter under each of the names that a model has for it. */
function isSameReplacement(a: TensorEdit, b: TensorEdit): boolean {
  const [value, other] = [a.replacement, b.replacement];
  return a.tensor === b.tensor && value !== undefined && other !== undefined && sameNumbers(value, other);
}

/** A bias that was trained as a whole and has a `lora_bias` on top. */
function isTrainedBias(first: TensorEdit, second: TensorEdit): boolean {
  const added = second.steps.length > 0 && second.steps.every((step) => step.kind === "add");
  return first.replacement !== undefined && first.steps.length === 0 && second.replacement === undefined && added;
}

/** Leaves room for others: single rows, and deltas of a part of the tensor. */
function isPartial({ steps, view }: TensorEdit): boolean {
  return steps.some(
    (step) =>
      step.kind === "replace-rows" ||
      (step.kind === "low-rank" && (step.left.rows < view[0] || step.right.columns < view[1])),
  );
}
