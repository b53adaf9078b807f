/**
 * A base from a Hugging Face folder or weights file: described by its config.json, its weights widened to f32 in memory.
 */

import { dirname, join } from "node:path";
import { UnsupportedError } from "../../core/errors.ts";
import { parentPath } from "../../core/text.ts";
import { openModel } from "../../formats/open-model.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import { bindWeights, type WeightLookup } from "../../models/bind-weights.ts";
import { buildModel } from "../../models/build-model.ts";
import { describeModel } from "../../models/describe-model.ts";
import type { ModelDescription } from "../../models/description.ts";
import { expectedTensors } from "../../models/tensors.ts";
import { type Base, type BaseLayer, hasWholeEnd } from "./base.ts";
import { loadWeights, narrowWeights } from "./load-weights.ts";
import { declareTokenInputs } from "./token-inputs.ts";

/**
 * Headers only; `load` reads the weights.
 *
 * @throws {UnsupportedError} UNSUPPORTED_MODEL without a config.json, and for model types that have no description
 */
export async function openModelBase(path: string): Promise<Base> {
  const model = await openModel(path);
  if (model.config === undefined) {
    throw new UnsupportedError("UNSUPPORTED_MODEL", "there is no config.json, which says what the model computes", {
      file: path,
    });
  }
  const description = describeModel(model.config, join(path, "config.json"));
  const lookup = bindWeights(description, model.store);
  const layers = listLayers(description, lookup);
  const { head, embedding } = description;
  let weights: ReadonlyMap<string, TensorData> = model.store.tensors;
  let ownHead: string | undefined;
  const current: WeightLookup = (name) => {
    const stored = name === head.weight && ownHead !== undefined ? ownHead : lookup(name).name;
    const tensor = weights.get(stored);
    if (tensor === undefined) throw new Error(`no weight ${stored}`);
    return tensor;
  };
  return {
    path,
    layers,
    get weights() {
      return weights;
    },
    get parameterNames() {
      return nameParameters(description, current, layers);
    },
    namelessBecause: undefined,
    separate: (isWhole) => {
      if (!hasWholeEnd(layers, isWhole) || lookup(head.weight) !== lookup(embedding.weight)) return;
      ownHead = head.weight;
      weights = new Map([...weights, [ownHead, { ...lookup(embedding.weight), name: ownHead }]]);
    },
    load: () => {
      weights = loadWeights(weights);
    },
    narrow: (isKept) => {
      weights = narrowWeights(weights, new Map([...model.store.tensors].filter(([name]) => !isKept(name))));
    },
    vocabulary: description.vocabulary,
    maxLength: description.maxPositions,
    fixed: { rows: undefined, length: undefined },
    packs: true,
    forward: (g, inputs, adapt) => {
      const { hidden, project } = buildModel(g, description, current, inputs, {
        adapt,
        positionLimit: inputs.positionIds.shape[1] ?? 0,
      });
      return { hidden, project };
    },
    tokenizerFolder: model.kind === "folder" ? path : dirname(path),
    config: model.config,
    files: model.store.files,
    warnings: model.store.warnings,
  };
}

/** By stored name; of a tied table the embedding's name. */
function nameParameters(
  description: ModelDescription,
  lookup: WeightLookup,
  layers: readonly BaseLayer[],
): ReadonlyMap<string, string> {
  const { head } = description;
  const modules = new Map(
    layers.flatMap(({ weight, module, isHead }) => (isHead ? [] : [[parentPath(weight), module]])),
  );
  const names = [...expectedTensors(description).keys()].map((name) => {
    const stored = lookup(name).name;
    return [stored, (modules.get(parentPath(stored)) ?? parentPath(name)) + name.slice(name.lastIndexOf("."))] as const;
  });
  const parameters = new Map(names);
  for (const name of [head.weight, head.bias]) {
    const stored = name && lookup(name).name;
    if (stored && !parameters.has(stored)) parameters.set(stored, head.module + stored.slice(stored.lastIndexOf(".")));
  }
  return parameters;
}

/** The layers are those of a graph, whatever its sizes. */
function listLayers(description: ModelDescription, lookup: WeightLookup): BaseLayer[] {
  const g = new GraphBuilder();
  const { layers } = buildModel(g, description, lookup, declareTokenInputs(g, 1, 1));
  return layers.map((layer) => ({
    ...layer,
    inputsFirst: layer.kind !== "linear",
    isHead: layer.module === description.head.module,
  }));
}
