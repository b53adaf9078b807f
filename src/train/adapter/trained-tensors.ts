/**
 * The tensors that training changes, with their starting values: the parts of each adapter, and weights trained whole.
 *
 * Where the initialisation takes something out of the base (PiSSA, OLoRA), the base in memory is changed here.
 */

import { MatrixLoader } from "../../adapters/load-matrix.ts";
import { createKernels } from "../../core/cast/kernels.ts";
import { UnsupportedError, UsageError } from "../../core/errors.ts";
import { formatShape, type Shape, sameShape } from "../../core/shape.ts";
import { quote, summarise } from "../../core/text.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { Base, BaseLayer } from "../base/base.ts";
import { rateFactorOf, weightDecayOf } from "../optimise/groups.ts";
import { MOMENTS, type OptimizerName, type Parameter } from "../optimise/optimizer.ts";
import type { TrainSettings } from "../settings.ts";
import { BaseMatrix, valuesOf } from "./base-matrix.ts";
import { type InitialAdapter, readInitialTensors } from "./initial-adapter.ts";
import { leavesResidual } from "./initialisations.ts";
import { initialiseFactors } from "./initialise.ts";
import { adapterKind, type Part, partName, partShapes, partsOf } from "./parts.ts";
import type { SavedWeight } from "./saved-modules.ts";
import type { SelectedModule } from "./select-modules.ts";

/** One trained tensor: `<module>/down` and so on, or a weight of the base by its own name. */
export interface TrainedTensor extends Parameter {
  readonly shape: Shape;
  /** What it belongs to, for norms and messages. */
  readonly module: string;
  readonly part: Part | "whole";
  /** What an adapter's reader calls it: its name, or for a weight that is trained whole that of the running model. */
  readonly storedAs: string;
}

export interface TrainedSet {
  readonly modules: readonly SelectedModule[];
  readonly saved: readonly SavedWeight[];
  readonly tensors: readonly TrainedTensor[];
  /** By module: weights of the base that the initial adapter carries, and the trained one will. */
  readonly baseWeights: ReadonlyMap<string, TensorData>;
}

export interface CreateOptions {
  readonly base: Base;
  readonly modules: readonly SelectedModule[];
  readonly saved: readonly SavedWeight[];
  readonly settings: TrainSettings;
  readonly initial: InitialAdapter | undefined;
}

/**
 * @throws {UsageError} when the initial adapter has another rank or other modules than those to train
 * @throws {UnsupportedError} when it carries other weights of the base than the base has
 */
export function createTrainedSet(options: CreateOptions): TrainedSet {
  const { base, modules, saved, settings, initial } = options;
  const given = initial === undefined ? new Map<string, Float32Array>() : readInitialTensors(initial);
  if (initial !== undefined) assertSameBase(initial, base);
  const tensors = modules.flatMap((selected) => createModule(base, selected, settings, given));
  for (const { name, module, parameter } of saved) {
    const shape = base.weights.get(name)?.shape ?? [];
    const values = given.get(parameter) ?? valuesOf(base, name).slice();
    tensors.push(tensorOf({ name, module, part: "whole", storedAs: parameter, shape, values }, false, settings));
  }
  if (initial !== undefined) assertSameParts(initial, tensors);
  return { modules, saved, tensors, baseWeights: initial?.baseWeights ?? new Map() };
}

function createModule(
  base: Base,
  selected: SelectedModule,
  settings: TrainSettings,
  given: ReadonlyMap<string, Float32Array>,
): TrainedTensor[] {
  const { layer, rank, scale } = selected;
  const { init, dora } = settings.adapter;
  const kind = adapterKind(layer);
  if (dora && kind === "embedding") {
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", "DoRA on an embedding is not trained here", {
      subject: layer.module,
    });
  }
  if (leavesResidual(init, kind) && isShared(base, layer)) {
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", `${init} changes the weight, which another layer uses as well`, {
      subject: layer.module,
      hint: "leave the output head out, or use another --init",
    });
  }
  const weight = new BaseMatrix(base, layer);
  const toInitialise = {
    name: layer.module,
    kind,
    inputs: layer.inputs,
    outputs: layer.outputs,
    rank,
    scale,
    weight: () => weight.copy(),
  };
  const first = initialiseFactors(init, toInitialise, settings.run.seed);
  if (first.leavesResidual) weight.addProduct(first.down, first.up, rank, -scale);
  const values = {
    down: given.get(partName(layer.module, "down")) ?? first.down,
    up: given.get(partName(layer.module, "up")) ?? first.up,
  };
  const shapes = partShapes(selected);
  return partsOf(selected, dora).map((part) => {
    const name = partName(layer.module, part);
    const start =
      part === "magnitude"
        ? (given.get(name) ?? weight.mergedNorms(values.down, values.up, rank, scale))
        : values[part];
    return tensorOf(
      { name, module: layer.module, part, storedAs: name, shape: shapes[part], values: start },
      kind === "embedding",
      settings,
    );
  });
}

/** A tied head, and the embedding that it is tied to. */
function isShared(base: Base, { module, weight }: BaseLayer): boolean {
  return base.layers.some((other) => other.module !== module && other.weight === weight);
}

function tensorOf(
  tensor: Pick<TrainedTensor, "name" | "module" | "part" | "storedAs" | "shape" | "values">,
  isEmbedding: boolean,
  settings: TrainSettings,
): TrainedTensor {
  const { optimizer } = settings.optimiser;
  return {
    ...tensor,
    firstMoment: momentOf(optimizer, 1, tensor.values.length),
    secondMoment: momentOf(optimizer, 2, tensor.values.length),
    rateFactor: rateFactorOf(tensor, isEmbedding, settings.optimiser),
    weightDecay: weightDecayOf(tensor, settings.optimiser),
  };
}

function momentOf(optimizer: OptimizerName, index: number, length: number): Float32Array {
  return new Float32Array(MOMENTS[optimizer] >= index ? length : 0);
}

/** Before an initialisation changes the base. */
function assertSameBase({ path, baseWeights }: InitialAdapter, base: Base): void {
  const loader = new MatrixLoader(createKernels());
  for (const layer of base.layers) {
    const carried = baseWeights.get(layer.module);
    if (carried === undefined) continue;
    const own = layer.kind === "embedding" ? valuesOf(base, layer.weight) : new BaseMatrix(base, layer).copy();
    const values = loader.vector(carried);
    if (values.length === own.length && values.every((value, index) => value === own[index])) continue;
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", "carries another weight than the base has", {
      file: path,
      subject: carried.name,
      hint: "use the base that it was made with, and keep the size of the vocabulary",
    });
  }
}

/** Everything in the initial adapter is trained on, and has the shape that it will have. */
function assertSameParts({ path, tensors: initial }: InitialAdapter, tensors: readonly TrainedTensor[]): void {
  const shapes = new Map(tensors.map(({ storedAs, shape }) => [storedAs, shape]));
  const left = [...initial.keys()].filter((name) => !shapes.has(name));
  if (left.length > 0) {
    throw new UsageError(`these of its tensors would not be trained on: ${summarise(left.map(quote))}`, {
      file: path,
      hint: "leave out --target-modules, --layers and --modules-to-save, which the adapter's settings give",
    });
  }
  for (const [name, shape] of shapes) {
    const stored = initial.get(name)?.shape;
    const flat = stored?.filter((size, index) => size !== 1 || index === stored.length - 1 || shape.includes(1));
    if (flat === undefined || sameShape(flat, shape)) continue;
    throw new UsageError(`expected shape ${formatShape(shape)}, got ${formatShape(flat)}`, {
      file: path,
      subject: name,
      hint: "leave out --rank and --rank-pattern, which the adapter's settings give, or use another base",
    });
  }
}
