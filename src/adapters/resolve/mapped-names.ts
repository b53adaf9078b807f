/**
 * Names that the user settles by hand: module or parameter of the adapter → tensor of the base.
 */

import { MismatchError } from "../../core/errors.ts";
import { quote } from "../../core/text.ts";
import type { Model } from "../../formats/model.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { NameFinder } from "./names.ts";

/**
 * @param map from a module (its weight is meant) or parameter to a tensor's name or, in a graph, a constant's
 * @throws {MismatchError} ADAPTER_MISMATCH when the base has no such tensor, or several layers share the constant
 */
export function withMap(names: NameFinder, map: ReadonlyMap<string, string>, model: Model): NameFinder {
  if (map.size === 0) return names;
  const byHand = new Map<string, TensorData>();
  const problems: string[] = [];
  for (const [path, name] of map) {
    const found = tensorsCalled(name, model);
    const [tensor, ...others] = found;
    if (tensor !== undefined && others.length === 0) byHand.set(path, tensor);
    else if (tensor === undefined) problems.push(`${quote(path)}: the base has no tensor ${quote(name)}`);
    else {
      const all = found.map((one) => quote(one.name)).join(", ");
      problems.push(`${quote(path)}: several layers share ${quote(name)}, expected the name of one: ${all}`);
    }
  }
  if (problems.length > 0) {
    throw new MismatchError("ADAPTER_MISMATCH", "--map does not fit the base", problems, { file: model.path });
  }
  return {
    findFused: (path) => names.findFused?.(path),
    find: (path) => {
      const module = path.endsWith(".weight") ? path.slice(0, -".weight".length) : path;
      const tensor = byHand.get(path) ?? byHand.get(module);
      return tensor === undefined ? names.find(path) : { kind: "one", tensor };
    },
  };
}

/** A tensor by its own name, else by the constant that holds it. */
function tensorsCalled(name: string, { store, graph }: Model): TensorData[] {
  const own = store.tensors.get(name);
  if (own !== undefined) return [own];
  const parameters = [...(graph?.byName.values() ?? [])].filter(({ constant }) => constant.key === name);
  return parameters.flatMap((parameter) => store.tensors.get(parameter.name) ?? []);
}
