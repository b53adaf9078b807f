/**
 * PEFT's `add_weighted_adapter` on the factors (0.21.2, `lora/model.py`): the method is applied to all `down` and to all
 * `up`, each with the square root of its weight, and the sign of the weight on `down`.
 *
 * Products of one adapter's `up` with another's `down` come with it; the result has scale 1. Where PEFT is wrong, this is
 * what it means to do: the convention of the result is right, and biases are summed.
 */

import type { AdapterModule } from "../../../adapters/adapter.ts";
import type { MatrixLoader } from "../../../adapters/load-matrix.ts";
import { UnsupportedError } from "../../../core/errors.ts";
import { memoryTensor } from "../../../formats/memory-tensor.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import { joinSum } from "../join.ts";
import type { ChosenMethod } from "../options.ts";
import { METHODS } from "../registry.ts";
import { prepareSelection } from "../selection.ts";
import type { MatchedModule, ModulePart } from "./match.ts";

/** New factors of one module, in f32; they stand for its delta with scale 1. */
export async function combineFactors(
  matched: MatchedModule,
  method: ChosenMethod,
  loader: MatrixLoader,
): Promise<Pick<AdapterModule, "delta" | "rank">> {
  const { name, parts } = matched;
  const [{ module }] = parts;
  const other = parts.find((part) => part.module.rank !== module.rank);
  if (other !== undefined || module.kind === "experts") {
    const problem =
      other === undefined ? "stacked experts" : `ranks ${module.rank} and ${other.module.rank}, expected equal ones`;
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", `factors cannot be combined one by one: ${problem}`, {
      subject: name,
      hint: "without --factor-wise the deltas are combined, whatever their ranks",
    });
  }
  const weights = parts.map(({ weight }) => Math.sqrt(Math.abs(weight)));
  const signed = weights.map((weight, index) => ((parts[index]?.weight ?? 0) < 0 ? -weight : weight));
  const [{ factors }] = parts;
  const side = (
    of: (part: ModulePart, loader: MatrixLoader) => Float32Array,
    own: readonly number[],
    label: string,
    shape: readonly number[],
  ) =>
    loader.pool.scope(() => {
      const values = parts.map((part) => of(part, loader));
      return joinSide(matched, method, { values, weights: own, name: `${name}.${label}`, shape });
    });
  const ones = factors.inputShape.slice(1).map(() => 1);
  return {
    rank: module.rank,
    delta: {
      kind: "lora",
      down: await side(downOf, signed, "down", [module.rank, ...factors.inputShape]),
      up: await side(upOf, weights, "up", [factors.outputs, module.rank, ...ones]),
    },
  };
}

interface Side {
  readonly values: readonly Float32Array[];
  readonly weights: readonly number[];
  readonly name: string;
  readonly shape: readonly number[];
}

async function joinSide({ parts }: MatchedModule, { name, settings }: ChosenMethod, side: Side): Promise<TensorData> {
  const method = METHODS[name];
  const [selection, join] = method.kind === "elements" ? [method.selection, method.join] : (["all", joinSum] as const);
  const select = await prepareSelection(selection, {
    settings,
    adapters: parts.map(({ adapter }) => adapter),
    name: side.name,
    sizes: side.values.map(({ length }) => length),
    forEachTile: async (visit) => visit({ start: 0, deltas: side.values }),
  });
  select({ start: 0, deltas: side.values });
  const joined = new Float32Array(side.values[0]?.length ?? 0);
  join(side.values, side.weights, settings, joined);
  return memoryTensor(side.name, side.shape, joined);
}

function downOf({ factors }: ModulePart, loader: MatrixLoader): Float32Array {
  const [product] = factors.products;
  return product === undefined ? new Float32Array() : loader.matrix(product.down);
}

function upOf({ factors }: ModulePart, loader: MatrixLoader): Float32Array {
  const [product] = factors.products;
  if (product === undefined) return new Float32Array();
  const { up, diagonal } = product;
  const values = loader.matrix(up);
  if (diagonal === undefined) return values;
  for (let index = 0; index < values.length; index++) {
    values[index] = (values[index] ?? 0) * (diagonal[index % up.columns] ?? 0);
  }
  return values;
}
