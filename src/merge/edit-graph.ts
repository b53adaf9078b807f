/**
 * The plan of a merge → changes of an ONNX file: constants that get other values, and copies of shared constants for the
 * uses that part.
 *
 * Parameters that share a constant and get the same edit go on sharing it. Otherwise each edited one gets a constant of
 * its own, and the nodes of its uses read that.
 */

import { UnsupportedError } from "../core/errors.ts";
import { quote } from "../core/text.ts";
import { type BranchRemoval, removeBranches } from "../formats/onnx/branches/removal.ts";
import { OnnxEditor } from "../formats/onnx/editor.ts";
import type { OnnxConstant, OnnxModel, OnnxNode } from "../formats/onnx/model.ts";
import type { OnnxParameter, OnnxParameters } from "../formats/onnx/parameters/parameters.ts";
import { graphsOf } from "../formats/onnx/traverse.ts";
import type { WeightUse } from "../formats/onnx/weight-uses.ts";
import { type MergePlan, type PlannedTensor, tensorsOf } from "./plan.ts";

export interface EditedGraph {
  readonly editor: OnnxEditor;
  /** What is to be written, by the key of the constant in the output. */
  readonly tensors: ReadonlyMap<string, PlannedTensor>;
}

/** Parameters of one constant with one result. */
interface Edited {
  readonly tensor: PlannedTensor;
  readonly parameters: readonly OnnxParameter[];
}

/** @throws {UnsupportedError} UNSUPPORTED_MODEL when a shared constant cannot be parted, or a tensor of its kind not edited */
export function editGraph(plan: MergePlan, graph: OnnxParameters, removal: BranchRemoval | undefined): EditedGraph {
  const editor = new OnnxEditor(graph.model);
  const tensors = new Map<string, PlannedTensor>();
  const names = new FreeNames(graph.model);
  const sharing = new Map<OnnxConstant, OnnxParameter[]>();
  for (const parameter of graph.byName.values()) {
    const known = sharing.get(parameter.constant);
    if (known === undefined) sharing.set(parameter.constant, [parameter]);
    else known.push(parameter);
  }
  for (const [constant, edits] of editsByConstant(plan, graph)) {
    const { key } = constant;
    const all = sharing.get(constant) ?? [];
    const edited = edits.flatMap(({ parameters }) => parameters);
    const others = all.filter((parameter) => !edited.includes(parameter));
    const owner = keeper(constant, edits, others, graph);
    const part = (parameters: readonly OnnxParameter[], add: (name: string) => string): string => {
      const name = names.take(parameters[0]?.name ?? key);
      const added = add(name);
      for (const use of usesOf(parameters)) redirect(editor, use, parameters, name, all);
      return added;
    };
    for (const { tensor, parameters } of edits) {
      const { dtype, shape } = tensor;
      if (tensor === owner?.tensor) {
        editor.setTensor(key, { dtype, shape });
        tensors.set(key, tensor);
        continue;
      }
      const inGraph = graphOf(constant, graph.model);
      tensors.set(
        part(parameters, (name) => editor.addInitialiser(name, { dtype, shape }, inGraph)),
        tensor,
      );
    }
    if (owner !== undefined && others.length > 0) part(others, (name) => editor.cloneInitialiser(key, name));
  }
  if (removal !== undefined) removeBranches(editor, removal);
  return { editor, tensors };
}

/**
 * Which edit the constant itself takes: that of the layer that it is named after, or any when all layers are edited.
 * `undefined` when it has to stay for uses that are not edited, or that nothing is known of.
 */
function keeper(
  { key, ...constant }: OnnxConstant,
  edits: readonly Edited[],
  others: readonly OnnxParameter[],
  { model, useCounts }: OnnxParameters,
): Edited | undefined {
  const known = usesOf([...others, ...edits.flatMap(({ parameters }) => parameters)]).length;
  if (known !== (useCounts.get(key) ?? 0) || isOutput(constant, model)) return undefined;
  const own = edits.find(({ parameters }) => parameters.some(({ name }) => name === key));
  return own ?? (others.length === 0 ? edits[0] : undefined);
}

function editsByConstant(plan: MergePlan, { byName }: OnnxParameters): Map<OnnxConstant, Edited[]> {
  const edits = new Map<OnnxConstant, Edited[]>();
  for (const tensor of tensorsOf(plan)) {
    const parameter = byName.get(tensor.name);
    if (parameter === undefined || tensor.action === "copy" || tensor.action === "remove") continue;
    const own = edits.get(parameter.constant) ?? [];
    edits.set(parameter.constant, own);
    const same = own.findIndex((other) => sameResult(other.tensor, tensor));
    const known = own[same];
    if (known === undefined) own.push({ tensor, parameters: [parameter] });
    else own[same] = { ...known, parameters: [...known.parameters, parameter] };
  }
  return edits;
}

/** Steps that are meant for several ends of a tie are the same objects. */
function sameResult(a: PlannedTensor, b: PlannedTensor): boolean {
  const sameStart = a.action === "replace" ? a.source === b.source : b.action !== "replace";
  return sameStart && a.steps.length === b.steps.length && a.steps.every((step, index) => step === b.steps[index]);
}

function usesOf(parameters: readonly OnnxParameter[]): WeightUse[] {
  return parameters.flatMap(({ uses }) => uses);
}

function isOutput({ name, scope }: Pick<OnnxConstant, "name" | "scope">, model: OnnxModel): boolean {
  return graphOf({ scope }, model)?.outputs.some((output) => output.name === name) === true;
}

function graphOf({ scope }: Pick<OnnxConstant, "scope">, model: OnnxModel) {
  return [...graphsOf(model)].find((graph) => graph.scope === scope);
}

/** Lets the way from the constant to one of its uses start at another constant, without touching other uses. */
function redirect(
  editor: OnnxEditor,
  use: WeightUse,
  parameters: readonly OnnxParameter[],
  name: string,
  all: readonly OnnxParameter[],
): void {
  const own = new Set(usesOf(parameters));
  const others = usesOf(all).filter((other) => !own.has(other));
  const isShared = (node: OnnxNode) => others.some(({ through }) => through.includes(node));
  const way = [...use.through.map((node) => ({ node, input: 0 })), { node: use.node, input: use.input }];
  const free = way.findIndex(({ node }) => !isShared(node));
  const [changing] = way.slice(0, free).filter(({ node }) => node.opType !== "Identity");
  const place = way[free];
  if (place === undefined || changing !== undefined) {
    const shared = changing?.node ?? use.node;
    throw new UnsupportedError(
      "UNSUPPORTED_MODEL",
      `only some layers that share the constant are edited, and the node ${quote(shared.name || shared.opType)} serves them all`,
      { file: editor.model.path, subject: use.constant.key },
    );
  }
  editor.setInput(place.node, place.input, name);
}

/** Names that no value of any graph has. */
class FreeNames {
  readonly #taken = new Set<string>();

  constructor(model: OnnxModel) {
    for (const { nodes, inputs, initialisers, sparseInitialisers } of graphsOf(model)) {
      for (const { name } of inputs) this.#taken.add(name);
      for (const name of [...initialisers.keys(), ...sparseInitialisers.keys()]) this.#taken.add(name);
      for (const { outputs } of nodes) for (const name of outputs) this.#taken.add(name);
    }
  }

  take(wanted: string): string {
    let name = wanted;
    for (let copy = 1; this.#taken.has(name); copy++) name = `${wanted}.${copy}`;
    this.#taken.add(name);
    return name;
  }
}
