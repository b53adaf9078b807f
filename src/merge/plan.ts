/**
 * The plan of a merge: what becomes of every tensor of the base, from headers only.
 *
 * Base tensors keep their order and their files; edits of all adapters on one tensor are joined into one list of steps,
 * in the order of the adapters. Every misfit of every adapter is collected before the plan is refused as a whole.
 */

import type { Architecture, Tie } from "../adapters/architecture/architecture.ts";
import { type ResolvedAdapter, replacesWhole } from "../adapters/edit.ts";
import { type Dtype, isFloatDtype } from "../core/dtype.ts";
import { MismatchError } from "../core/errors.ts";
import { elementCount, formatShape, type Shape } from "../core/shape.ts";
import { counted, quote } from "../core/text.ts";
import type { Model } from "../formats/model.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import type { MergeStep } from "./combine/combine-step.ts";
import { type JoinOptions, joinEdits, type OwnedEdit } from "./combine/join-edits.ts";
import { routeTiedEdits } from "./ties.ts";
import { changedVocabulary, vocabularyProblems } from "./vocabulary.ts";

/** What happens to a tensor; the words of the `--dry-run` table. */
export const ACTIONS = ["copy", "cast", "merge", "replace", "untie", "new", "remove"] as const;
export type Action = (typeof ACTIONS)[number];

export interface PlannedTensor {
  readonly name: string;
  readonly action: Action;
  /** Where the numbers come from before the steps: the base, or the adapter for replaced and new tensors. */
  readonly source: TensorData;
  readonly dtype: Dtype;
  readonly shape: Shape;
  /** [rows, columns] as the steps see the tensor. */
  readonly view: readonly [rows: number, columns: number];
  readonly steps: readonly MergeStep[];
  /** Adapter modules that act on it. */
  readonly modules: readonly string[];
}

export interface PlannedFile {
  /** Basename of the weights file in the base; new tensors join the file of the tensor that they follow. */
  readonly name: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: readonly PlannedTensor[];
}

export interface MergePlan {
  readonly files: readonly PlannedFile[];
  /** The two ends of a tied embedding part: config.json must say so. */
  readonly unties: boolean;
  /** Rows of the embedding after the merge, when their number changes. */
  readonly vocabularySize: number | undefined;
}

/** All tensors of the output, in the order of the files. */
export function tensorsOf({ files }: Pick<MergePlan, "files">): PlannedTensor[] {
  return files.flatMap((file) => file.tensors);
}

export const OUTPUT_DTYPES = ["keep", "f32", "f16", "bf16"] as const;
/** Dtype of the float tensors of the output; `keep`: each as in the base. */
export type OutputDtype = (typeof OUTPUT_DTYPES)[number];

export interface PlanOptions extends JoinOptions {
  readonly dtype: OutputDtype;
  /** Adapter tensors without a use are an error unless set. */
  readonly allowUnused: boolean;
  /** Tensors that the output lacks: those of branches that a graph computes no more. */
  readonly removed?: ReadonlySet<string>;
}

/**
 * Joins the edits of several adapters over one base.
 *
 * @throws {MismatchError} ADAPTER_MISMATCH with one line for each misfit of every adapter
 */
export function planMerge(
  model: Model,
  { ties, ends }: Pick<Architecture, "ties" | "ends">,
  resolved: readonly ResolvedAdapter[],
  options: PlanOptions,
): MergePlan {
  const problems = resolved.flatMap(({ problems, unmatched }) => [
    ...problems,
    ...(options.allowUnused ? [] : unmatched),
  ]);
  const edits = new Map<string, OwnedEdit[]>();
  const { routed, unties } = routeTiedEdits(
    resolved.flatMap(({ edits }, adapter) => edits.map((edit): OwnedEdit => ({ ...edit, adapter }))),
    ties,
    model.store.tensors,
  );
  for (const edit of routed) edits.set(edit.tensor, [...(edits.get(edit.tensor) ?? []), edit]);

  const planned = new Map<string, PlannedTensor>();
  for (const tensor of model.store.tensors.values()) {
    const plannedTensor = planTensor(tensor, tensor, edits.get(tensor.name) ?? [], options, problems);
    const isRemoved = options.removed?.has(tensor.name) === true;
    planned.set(tensor.name, isRemoved ? { ...plannedTensor, action: "remove" } : plannedTensor);
  }
  const additions = new Map<string, PlannedTensor[]>();
  for (const [name, tensorEdits] of edits) {
    if (planned.has(name)) continue;
    const added = planAddition(name, tensorEdits, ties, model, options, problems);
    if (added === undefined) continue;
    planned.set(name, added.tensor);
    additions.set(added.follows, [...(additions.get(added.follows) ?? []), added.tensor]);
  }
  problems.push(...vocabularyProblems(ends, model.store.tensors, planned));
  if (problems.length > 0) {
    throw new MismatchError(
      "ADAPTER_MISMATCH",
      `the adapter does not fit the base: ${counted(problems.length, "problem")}`,
      problems,
      {
        file: model.path,
        hint:
          model.graph === undefined
            ? "check that this is the base the adapter was trained on: lora-tool inspect shows both"
            : "where names of the graph do not tell, settle them with --map module=initialiser",
      },
    );
  }

  const files = model.weightFiles.map((file) => ({
    name: file.name,
    metadata: file.metadata,
    tensors: file.tensors.flatMap((name) => {
      const tensor = planned.get(name);
      return tensor === undefined ? [] : [tensor, ...(additions.get(name) ?? [])];
    }),
  }));
  return { files, unties, vocabularySize: changedVocabulary(ends, model.store.tensors, planned) };
}

/** One tensor of the output that the base has too. */
function planTensor(
  base: TensorData,
  source: TensorData,
  edits: readonly OwnedEdit[],
  options: PlanOptions,
  problems: string[],
): PlannedTensor {
  const replacements = edits.filter(replacesWhole);
  if (replacements.length > 1) {
    problems.push(`${quote(base.name)}: ${replacements.length} adapters replace the whole tensor, expected at most 1`);
  }
  const replacement = replacements[0]?.replacement;
  const start = replacement ?? source;
  const dtype = outputDtype(base.dtype, options);
  const view = replacements[0]?.view ?? edits[0]?.view ?? flatView(start);
  for (const edit of edits) {
    const grows = edit.view[0] > view[0] || edit.view[1] !== view[1];
    if (grows) {
      problems.push(
        `${quote(edit.module)}: edits ${quote(base.name)} as ${formatShape(edit.view)}, another adapter as ${formatShape(view)}`,
      );
    }
  }
  const steps = joinEdits(base.name, edits, options, problems);
  const action: Action =
    replacements.length > 0 ? "replace" : steps.length > 0 ? "merge" : dtype === base.dtype ? "copy" : "cast";
  const modules = [...new Set(edits.map((edit) => edit.module))];
  return { name: base.name, action, source: start, dtype, shape: start.shape, view, steps, modules };
}

/** A tensor that the base does not store: the untied end of an embedding, or one that only the adapter has. */
function planAddition(
  name: string,
  edits: readonly OwnedEdit[],
  ties: readonly Tie[],
  model: Model,
  options: PlanOptions,
  problems: string[],
): { tensor: PlannedTensor; follows: string } | undefined {
  const { ends = [] } = ties.find((tie) => tie.ends.includes(name)) ?? {};
  const source = ends.map((end) => model.store.tensors.get(end)).find((tensor) => tensor !== undefined);
  if (source !== undefined) {
    const tensor = planTensor({ ...source, name }, source, edits, options, problems);
    return { tensor: { ...tensor, action: "untie" }, follows: source.name };
  }
  const replacement = edits.find((edit) => edit.replacement !== undefined)?.replacement;
  const last = model.weightFiles.at(-1)?.tensors.at(-1);
  if (replacement === undefined || last === undefined) {
    problems.push(`${quote(name)}: the base has no such tensor`);
    return undefined;
  }
  const tensor = planTensor({ ...replacement, name }, replacement, edits, options, problems);
  return { tensor: { ...tensor, action: "new" }, follows: last };
}

function outputDtype(dtype: Dtype, options: PlanOptions): Dtype {
  return options.dtype !== "keep" && isFloatDtype(dtype) ? options.dtype : dtype;
}

/** A tensor without steps is only copied or cast: any split of its elements will do. */
function flatView(tensor: TensorData): readonly [number, number] {
  return [elementCount(tensor.shape) ?? 0, 1];
}
