/**
 * LoRA branches of an ONNX graph → an adapter on the graph's own layers, to be folded into them like any other.
 *
 * Factors are those that the graph holds, [in, rank] and [rank, out] as a product reads them. Refused: factors that a graph
 * stores in no order that adapters have.
 */

import { UnsupportedError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import type { LoraBranch } from "../formats/onnx/branches/find-branches.ts";
import type { LinearMap } from "../formats/onnx/branches/linear-map.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import type { Adapter, AdapterModule, LoraDelta } from "./adapter.ts";
import { FACTORS_ONLY } from "./layouts/layout-reader.ts";

/** Name of the layer that a branch stands on, as the names of adapters are. */
export function layerName({ base }: LoraBranch): string {
  return base.held.parameter.name.replace(/\.weight$/, "");
}

/** Whether the graph holds both factors: they may be inputs that wait for an adapter, with nothing in them. */
export function holdsFactors({ down, up }: LoraBranch): boolean {
  return [down, up].every(({ held }) => (held?.use.constant.tensor.data.byteLength ?? 0) > 0);
}

/**
 * One adapter, or several where branches stand on the same layer.
 *
 * @param path of the graph
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER naming the factor
 */
export function adaptersOfBranches(path: string, branches: readonly LoraBranch[]): Adapter[] {
  const groups: Map<string, LoraBranch>[] = [];
  for (const branch of branches) {
    const name = layerName(branch);
    const free = groups.find((group) => !group.has(name));
    if (free === undefined) groups.push(new Map([[name, branch]]));
    else free.set(name, branch);
  }
  return groups.map((group) => adapterOf(path, [...group.values()]));
}

function adapterOf(path: string, branches: readonly LoraBranch[]): Adapter {
  const modules = branches.map((branch) => moduleOf(branch, path));
  const tensors = modules.flatMap(({ delta }) => (delta.kind === "lora" ? [delta.down, delta.up] : []));
  return {
    path,
    layout: "onnx-adapter",
    method: "LoRA",
    convention: "lora",
    modules,
    ...FACTORS_ONLY,
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    // Those of the base, which knows of them.
    files: [],
    warnings: [],
  };
}

/**
 * A branch whose factors the graph holds.
 *
 * @param path of the graph
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER naming the factor
 */
export function moduleOf(branch: LoraBranch, path: string): AdapterModule {
  const delta = deltaOf(branch, path);
  const rank = (delta.transposed === "both" ? delta.up.shape[0] : delta.up.shape[1]) ?? 0;
  const { base, scale } = branch;
  return { name: layerName(branch), kind: base.kind, delta, rank, alpha: scale * rank, scale };
}

function deltaOf({ down, up }: LoraBranch, file: string): LoraDelta {
  const factors = { kind: "lora" as const, down: tensorOf(down), up: tensorOf(up) };
  const [downTurned, upTurned] = [down, up].map(({ axes }) => axes === "in-out" || axes === "rows");
  if (!downTurned && !upTurned) return factors;
  if (downTurned) return { ...factors, transposed: upTurned ? "both" : "down" };
  throw new UnsupportedError(
    "UNSUPPORTED_ADAPTER",
    `a factor stored as ${formatShape(factors.up.shape)}, [rank, out]`,
    {
      file,
      subject: factors.up.name,
    },
  );
}

/** The weight of a factor, as the graph stores it. */
export function tensorOf({ held, weight }: LinearMap): TensorData {
  const constant = held?.use.constant;
  if (constant === undefined) throw new RangeError(`the graph holds no value of ${weight}`);
  const { dtype, shape, byteLength, source } = constant.tensor.data;
  return { name: constant.key, dtype, shape, byteLength, source };
}
