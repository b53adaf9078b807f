/**
 * The layer that a module adapts: which tensors of the base hold its weight, and how.
 */

import { formatShape, sameShape } from "../../core/shape.ts";
import { quote } from "../../core/text.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { AdapterModule } from "../adapter.ts";
import { findTarget, notInBase, type ResolveContext } from "./context.ts";
import { expertOfStack } from "./expert-names.ts";
import { factorSize, inputShape } from "./factor-views.ts";
import { fusedLayer, pipelineLayer } from "./fused.ts";
import { graphParameter, storesInputsFirst } from "./graph-layer.ts";
import { isTransposed } from "./orientation.ts";
import { type Layer, wholeLayer } from "./placement.ts";
import { problem } from "./report.ts";

type FactorSize = ReturnType<typeof factorSize>;

/**
 * The layer's weight in the base.
 *
 * @param rows of the weight that takes the base's place before the delta, if one does
 *
 * @throws {Misfit} when the base has no such layer, several, or one of another size
 */
export function locateLayer(module: AdapterModule, context: ResolveContext, rows?: number): Layer {
  // Of other kinds the factors do not tell.
  const size = module.delta.kind === "lora" ? factorSize(module.delta) : undefined;
  const layer = findLayer(module, context, rows);
  if (size !== undefined) checkSize(module, size, layer);
  return layer;
}

function findLayer(module: AdapterModule, context: ResolveContext, rows: number | undefined): Layer {
  const { name, parameter = "weight" } = module;
  const tensor =
    findTarget(`${name}.${parameter}`, context) ??
    // nn.MultiheadAttention: the wrapper itself adapts the joined projection of its inputs.
    (parameter === "weight" ? findTarget(`${name}.in_proj_weight`, context) : undefined);
  if (tensor !== undefined) {
    const parameter = graphParameter(tensor, context);
    if (parameter !== undefined) return wholeLayer(tensor, storesInputsFirst(parameter, module.kind), rows);
    if (module.kind === "embedding") return wholeLayer(tensor, true, rows);
    return wholeLayer(
      tensor,
      tensor.shape.length === 2 &&
        isTransposed(context.adapter.flatNames ? tensor.name.replace(/\.weight$/, "") : name, context),
      rows,
    );
  }
  const parts = expertOfStack(name, context) ?? fusedLayer(name, context) ?? pipelineLayer(name, context);
  if (parts === undefined) throw notInBase(`${name}.${parameter}`, context);
  return parts;
}

function checkSize(module: AdapterModule, size: FactorSize, layer: Layer): void {
  const tensor = layer.placements[0]?.tensor;
  if (size.outputs === layer.outputs && size.inputs === layer.inputs && sameKernel(module, tensor)) return;
  const grouped = groupsOf(module, tensor, size, layer);
  if (grouped !== undefined) {
    throw problem(`a convolution with groups (${grouped}) has no merged weight, PEFT refuses it too`);
  }
  throw problem(
    `shapes do not fit: the adapter is for ${size.outputs} outputs and ${size.inputs} inputs, expected ${layer.outputs} and ${layer.inputs}` +
      (tensor === undefined ? "" : ` of ${quote(tensor.name)} ${formatShape(tensor.shape)}`),
  );
}

/** Equal products of other dimensions are no fit: [rank, 8, 3, 3] is not for [out, 4, 6, 3]. */
function sameKernel({ delta }: AdapterModule, tensor: TensorData | undefined): boolean {
  if (delta.kind !== "lora" || tensor === undefined) return true;
  const [own, other] = [inputShape(delta), tensor.shape.slice(1)];
  return own === undefined || own.length === 1 || other.length === 1 || sameShape(own, other);
}

/** PEFT's `down` reads all channels, the weight of a grouped convolution has those of one group. */
function groupsOf(
  { delta }: AdapterModule,
  tensor: TensorData | undefined,
  size: FactorSize,
  layer: Layer,
): number | undefined {
  if (delta.kind !== "lora" || tensor === undefined || tensor.shape.length <= 2) return undefined;
  const [channels = 0, ...kernel] = inputShape(delta) ?? [];
  const [, ownChannels = 0, ...ownKernel] = tensor.shape;
  const hasSameKernel =
    kernel.length === ownKernel.length && kernel.every((length, axis) => length === ownKernel[axis]);
  if (!hasSameKernel || size.outputs !== layer.outputs || ownChannels === 0) return undefined;
  return channels > ownChannels && channels % ownChannels === 0 ? channels / ownChannels : undefined;
}
