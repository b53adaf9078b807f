/**
 * Names of XLabs' trainer for Flux (x-flux `lora_processor`): `double_blocks.0.processor.qkv_lora1.down.weight`, where 1 is
 * the image and 2 the text; `single_blocks.0.processor.qkv_lora.up.weight` is for the first three parts of `linear1`.
 */

import { sliceTensor, type TensorData } from "../../../formats/tensor-store.ts";
import type { LycorisFactor } from "../kohya/factors.ts";

/** What one tensor of the file is of a layer. */
export interface XlabsFactor {
  readonly module: string;
  readonly factor: LycorisFactor;
  readonly tensor: TensorData;
}

const KEY =
  /^(?:diffusion_model\.)?(double|single)_blocks\.(\d+)\.processor\.(qkv|proj)_lora([12]?)\.(down|up)\.weight$/;

export function isXlabsName(name: string): boolean {
  return KEY.test(name);
}

/** One layer, or the queries, keys and values of a single block, which share `down` and have their rows of `up`. */
export function readXlabsFactors(tensor: TensorData): readonly XlabsFactor[] | undefined {
  const [, kind, block, layer, side, end] = KEY.exec(tensor.name) ?? [];
  if (kind === undefined || (kind === "single") !== (side === "")) return undefined;
  const factor = end === "down" ? "lora_down.weight" : "lora_up.weight";
  if (kind === "double") {
    const stream = side === "1" ? "img_attn" : "txt_attn";
    return [{ module: `transformer.double_blocks.${block}.${stream}.${layer}`, factor, tensor }];
  }
  if (layer === "proj") return [{ module: `transformer.single_blocks.${block}.linear2`, factor, tensor }];
  const rows = (tensor.shape[0] ?? 0) / QUERY_KEY_VALUE.length;
  // Of rows that do not divide, the names of the factors say enough.
  if (factor === "lora_up.weight" && !Number.isInteger(rows)) return undefined;
  return QUERY_KEY_VALUE.map((part, index) => ({
    module: `transformer.single_transformer_blocks.${block}.attn.${part}`,
    factor,
    tensor: factor === "lora_up.weight" ? sliceTensor(tensor, index * rows, rows) : tensor,
  }));
}

const QUERY_KEY_VALUE = ["to_q", "to_k", "to_v"];
