/**
 * Other values for constants that several nodes read: for some of their uses, or other ones for each.
 *
 * What is named after the constant keeps it; the other uses read a constant of their own. A constant whose uses are not all
 * known, or that is a result of its graph, stays as it is for them.
 */

import { UnsupportedError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import type { OnnxEditor } from "./editor.ts";
import type { NewTensor } from "./encode-piece.ts";
import type { OnnxConstant, OnnxGraph, OnnxModel, OnnxNode } from "./model.ts";
import type { OnnxParameter, OnnxParameters } from "./parameters/parameters.ts";
import { graphsOf } from "./traverse.ts";
import type { WeightUse } from "./weight-uses.ts";

/** Uses of a constant, and what the constant is for them. */
export type NamedUses = Pick<OnnxParameter, "name" | "uses">;

/** New values, and who reads them. */
export interface ConstantEdit {
  readonly tensor: NewTensor;
  readonly users: readonly [NamedUses, ...NamedUses[]];
}

export class SharedConstants {
  readonly #editor: OnnxEditor;
  readonly #graph: OnnxParameters;
  readonly #names: FreeNames;
  readonly #users = new Map<OnnxConstant, OnnxParameter[]>();

  constructor(editor: OnnxEditor, graph: OnnxParameters) {
    this.#editor = editor;
    this.#graph = graph;
    this.#names = new FreeNames(graph.model);
    for (const parameter of graph.byName.values()) {
      const known = this.#users.get(parameter.constant);
      if (known === undefined) this.#users.set(parameter.constant, [parameter]);
      else known.push(parameter);
    }
  }

  /**
   * @param edits all of one constant; uses of none of them keep its values
   * @returns the key of each edit's constant in the output
   * @throws {UnsupportedError} UNSUPPORTED_MODEL when uses with different values cannot be parted
   */
  edit(constant: OnnxConstant, edits: readonly ConstantEdit[]): string[] {
    const { key } = constant;
    const edited = new Set(edits.flatMap(({ users }) => usesOf(users)));
    const all = this.#users.get(constant) ?? [];
    const others = all
      .map(({ name, uses }) => ({ name, uses: uses.filter((use) => !edited.has(use)) }))
      .filter(({ uses }) => uses.length > 0);
    const keeper = this.#keeper(constant, edits, others);
    const part = ([first, ...more]: ConstantEdit["users"], add: (name: string) => string): string => {
      const name = this.#names.take(first.name);
      const added = add(name);
      const own = new Set(usesOf([first, ...more]));
      const others = usesOf(all).filter((use) => !own.has(use));
      const serving = new Set(others.flatMap(({ through }) => through));
      for (const use of own) this.#redirect(use, name, serving);
      return added;
    };
    const keys = edits.map((edit) => {
      if (edit !== keeper) {
        const inGraph = this.#graphOf(constant);
        return part(edit.users, (name) => this.#editor.addInitialiser(name, edit.tensor, inGraph));
      }
      this.#editor.setTensor(key, edit.tensor);
      return key;
    });
    const [first, ...more] = others;
    if (keeper !== undefined && first !== undefined) {
      part([first, ...more], (name) => this.#editor.cloneInitialiser(key, name));
    }
    return keys;
  }

  /**
   * Which edit the constant itself takes: that of the layer that it is named after, or any when all uses are edited.
   * `undefined` when it has to stay for uses that are not edited, or that nothing is known of.
   */
  #keeper(
    constant: OnnxConstant,
    edits: readonly ConstantEdit[],
    others: readonly NamedUses[],
  ): ConstantEdit | undefined {
    const { key, name } = constant;
    const known = usesOf([...others, ...edits.flatMap(({ users }) => users)]).length;
    const isResult = this.#graphOf(constant)?.outputs.some((output) => output.name === name) === true;
    if (known !== (this.#graph.useCounts.get(key) ?? 0) || isResult) return undefined;
    const own = edits.find(({ users }) => users.some((user) => user.name === key));
    return own ?? (others.length === 0 ? edits[0] : undefined);
  }

  #graphOf({ scope }: OnnxConstant): OnnxGraph | undefined {
    return [...graphsOf(this.#graph.model)].find((graph) => graph.scope === scope);
  }

  /**
   * Lets the way from the constant to one of its uses start at another constant.
   *
   * @param serving nodes on the way to uses that stay
   */
  #redirect(use: WeightUse, name: string, serving: ReadonlySet<OnnxNode>): void {
    const way = [...use.through.map((node) => ({ node, input: 0 })), { node: use.node, input: use.input }];
    const free = way.findIndex(({ node }) => !serving.has(node));
    const [changing] = way.slice(0, free).filter(({ node }) => node.opType !== "Identity");
    const place = way[free];
    if (place === undefined || changing !== undefined) {
      const shared = changing?.node ?? use.node;
      throw new UnsupportedError(
        "UNSUPPORTED_MODEL",
        `only some layers that share the constant are edited, and the node ${quote(shared.name || shared.opType)} serves them all`,
        { file: this.#editor.model.path, subject: use.constant.key },
      );
    }
    this.#editor.setInput(place.node, place.input, name);
  }
}

function usesOf(users: readonly NamedUses[]): WeightUse[] {
  return users.flatMap(({ uses }) => uses);
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
