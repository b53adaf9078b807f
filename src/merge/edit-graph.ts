/**
 * The plan of a merge → changes of an ONNX file: constants that get other values.
 *
 * Parameters that share a constant and get the same edit go on sharing it; otherwise they part.
 */

import { type BranchRemoval, removeBranches } from "../formats/onnx/branches/removal.ts";
import { OnnxEditor } from "../formats/onnx/editor.ts";
import type { OnnxConstant } from "../formats/onnx/model.ts";
import type { OnnxParameter, OnnxParameters } from "../formats/onnx/parameters/parameters.ts";
import { SharedConstants } from "../formats/onnx/shared-constants.ts";
import { type MergePlan, type PlannedTensor, tensorsOf } from "./plan.ts";

export interface EditedGraph {
  readonly editor: OnnxEditor;
  /** What is to be written, by the key of the constant in the output. */
  readonly tensors: ReadonlyMap<string, PlannedTensor>;
}

/** Parameters of one constant with one result. */
interface Edited {
  readonly planned: PlannedTensor;
  readonly parameters: readonly [OnnxParameter, ...OnnxParameter[]];
}

/** @throws {UnsupportedError} UNSUPPORTED_MODEL when a shared constant cannot be parted, or a tensor of its kind not edited */
export function editGraph(plan: MergePlan, graph: OnnxParameters, removal: BranchRemoval | undefined): EditedGraph {
  const editor = new OnnxEditor(graph.model);
  const shared = new SharedConstants(editor, graph);
  const tensors = new Map<string, PlannedTensor>();
  for (const [constant, edited] of editsByConstant(plan, graph)) {
    const edits = edited.map(({ planned: { dtype, shape }, parameters }) => ({
      tensor: { dtype, shape },
      users: parameters,
    }));
    for (const [index, key] of shared.edit(constant, edits).entries()) {
      const planned = edited[index]?.planned;
      if (planned !== undefined) tensors.set(key, planned);
    }
  }
  if (removal !== undefined) removeBranches(editor, removal);
  return { editor, tensors };
}

function editsByConstant(plan: MergePlan, { byName }: OnnxParameters): Map<OnnxConstant, Edited[]> {
  const edits = new Map<OnnxConstant, Edited[]>();
  for (const planned of tensorsOf(plan)) {
    const parameter = byName.get(planned.name);
    if (parameter === undefined || planned.action === "copy" || planned.action === "remove") continue;
    const own = edits.get(parameter.constant) ?? [];
    edits.set(parameter.constant, own);
    const same = own.findIndex((other) => sameResult(other.planned, planned));
    const known = own[same];
    if (known === undefined) own.push({ planned, parameters: [parameter] });
    else own[same] = { ...known, parameters: [...known.parameters, parameter] };
  }
  return edits;
}

/** Steps that are meant for several ends of a tie are the same objects. */
function sameResult(a: PlannedTensor, b: PlannedTensor): boolean {
  const sameStart = a.action === "replace" ? a.source === b.source : b.action !== "replace";
  return sameStart && a.steps.length === b.steps.length && a.steps.every((step, index) => step === b.steps[index]);
}
