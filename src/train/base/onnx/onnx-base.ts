/**
 * A base from an .onnx file, as exporters write language models: its graph, for the sizes of a batch and in operators that
 * have gradients, with weights in f32.
 *
 * Rows cannot be packed: the file has masks of its own, which let a token see all tokens before it. Refused: graphs
 * without tokens or logits, inputs that nothing is known about, operators without a gradient, quantised weights.
 */

import { dirname } from "node:path";
import { isFloatDtype } from "../../../core/dtype.ts";
import { UnsupportedError } from "../../../core/errors.ts";
import { inFile } from "../../../core/in-file.ts";
import type { JsonObject } from "../../../core/json.ts";
import { escapeText, parentPath, quote, summarise } from "../../../core/text.ts";
import { configInMetadata, findModelConfig } from "../../../formats/model-config.ts";
import type { Graph } from "../../../formats/onnx/graph.ts";
import type { OnnxModel } from "../../../formats/onnx/model.ts";
import { findParameters } from "../../../formats/onnx/parameters/parameters.ts";
import { openOnnx } from "../../../formats/onnx/reader.ts";
import { toGraph } from "../../../formats/onnx/to-graph.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import { GraphBuilder } from "../../../graph/builder.ts";
import type { Value } from "../../../graph/call.ts";
import { pruneGraph } from "../../../graph/prune.ts";
import type { AdaptLayer } from "../../../models/build/layer-builder.ts";
import { type Base, type FixedSizes, type Forward, hasWholeEnd } from "../base.ts";
import { loadWeights } from "../load-weights.ts";
import { declareTokenInputs } from "../token-inputs.ts";
import { buildForward } from "./forward-pass.ts";
import { fixedSizes } from "./graph-inputs.ts";
import { type GraphLayer, nameParameters } from "./graph-layers.ts";
import { findProjection, type Projection } from "./projection.ts";
import { turnBack } from "./turn-back.ts";

/**
 * Headers only; `load` reads the weights.
 *
 * @throws {UnsupportedError} UNSUPPORTED_MODEL, UNSUPPORTED_OPERATOR, QUANTIZED_BASE
 */
export function openOnnxBase(path: string): Base {
  return inFile(path, () => new OnnxBase(openOnnx(path)));
}

class OnnxBase implements Base {
  readonly path: string;
  readonly layers: readonly GraphLayer[];
  readonly namelessBecause =
    "an .onnx file may hold a module in another form (norms with 1 added, a head in the embedding's table): train it from the model's folder";
  readonly vocabulary: number;
  readonly maxLength: number;
  readonly fixed: FixedSizes;
  readonly packs = false;
  readonly tokenizerFolder: string;
  readonly config: JsonObject | undefined;
  readonly files: Base["files"];
  readonly warnings: Base["warnings"];
  readonly #projection: Projection;
  readonly #turned: ReadonlyMap<string, string>;
  #parameterNames: ReadonlyMap<string, string>;
  #graph: Graph;

  constructor(model: OnnxModel) {
    const { path, store } = model;
    this.path = path;
    this.files = store.files;
    this.tokenizerFolder = dirname(path);
    this.config = configInMetadata(model) ?? findModelConfig(this.tokenizerFolder);
    const graph = toGraph(model);
    this.#projection = findProjection(graph);
    this.#graph = pruneGraph({
      ...graph,
      outputs: graph.outputs.filter(({ name }) => name === this.#projection.output),
    });
    this.fixed = fixedSizes(graph.inputs);
    const head = this.#projection.chain[0]?.outputs[0];
    const { layers, names, turned, unnamed } = nameParameters(findParameters(model), head);
    this.layers = layers;
    this.#turned = turned;
    this.#parameterNames = new Map([...names, ...turned]);
    if (this.layers.length === 0) {
      throw new UnsupportedError("UNSUPPORTED_MODEL", "no node says which layer of the model it was", {
        hint: "export again with torch.onnx.export, which writes the names of modules",
      });
    }
    const what = `no node names these matrices, which get no adapter: ${summarise(unnamed.map(quote))}`;
    this.warnings = unnamed.length === 0 ? store.warnings : [...store.warnings, `${escapeText(path)}: ${what}`];
    this.maxLength = this.fixed.length ?? positionsOf(this.config) ?? Number.POSITIVE_INFINITY;
    this.vocabulary = this.#measureVocabulary();
  }

  /** By the names of initialisers: those of floats. */
  get weights(): ReadonlyMap<string, TensorData> {
    return new Map([...this.#graph.initialisers].filter(([, { dtype }]) => isFloatDtype(dtype)));
  }

  get parameterNames(): ReadonlyMap<string, string> {
    return this.#parameterNames;
  }

  load = (): void => {
    this.#graph = {
      ...this.#graph,
      initialisers: new Map([...this.#graph.initialisers, ...loadWeights(this.weights)]),
    };
  };

  separate = (isWhole: (module: string) => boolean): void => {
    const own = new Map(
      Array.from(this.#turned).flatMap(([weight, parameter]) =>
        isWhole(parentPath(parameter)) ? [[weight, `${weight}/${parameter}`] as const] : [],
      ),
    );
    this.#graph = turnBack(this.#graph, own);
    this.#parameterNames = new Map(
      Array.from(this.#parameterNames, ([weight, parameter]) => [own.get(weight) ?? weight, parameter]),
    );
    const shared = this.layers.find(({ isShared }) => isShared);
    if (!hasWholeEnd(this.layers, isWhole) || shared === undefined) return;
    throw new UnsupportedError(
      "UNSUPPORTED_MODEL",
      "embedding and head share one constant, which cannot be trained for one",
      {
        file: this.path,
        subject: shared.weight,
        hint: "train the embedding with LoRA, or from the model's folder",
      },
    );
  };

  forward: Base["forward"] = (g, { inputIds }, adapt, trained) =>
    inFile(this.path, () => this.#build(g, inputIds, adapt, trained));

  #build(g: GraphBuilder, tokens: Value, adapt: AdaptLayer, trained: ReadonlySet<string> = new Set()): Forward {
    const [graph, projection, layers] = [this.#graph, this.#projection, this.layers];
    return buildForward(g, tokens, { graph, projection, layers, adapt, trained });
  }

  /** What the logits of a small batch say; nothing of the graph is left out, so what has no gradient is found here. */
  #measureVocabulary(): number {
    const g = new GraphBuilder();
    const { inputIds } = declareTokenInputs(g, this.fixed.rows ?? 1, this.fixed.length ?? 2);
    const { hidden, project } = this.#build(g, inputIds, (_, { base }) => base);
    const logits = project(g.reshape(hidden, [-1, hidden.shape.at(-1) ?? 0]));
    return logits.shape.at(-1) ?? 0;
  }
}

/** How many positions the model's settings allow. */
function positionsOf(config: JsonObject | undefined): number | undefined {
  const counts = ["max_position_embeddings", "n_positions"].map((key) => config?.get(key));
  return counts.find((count) => typeof count === "number");
}
