/**
 * Targets whose numbers are quantised: a delta cannot be added to them, so they are refused by name.
 *
 * Recognised by the tensors beside the weight: bitsandbytes (absmax, quant_state, SCB), GPTQ and AWQ (qweight),
 * compressed-tensors (weight_packed, weight_scale), FP8 with scales (weight_scale_inv), MXFP4 (…_blocks); and by what
 * config.json says (also mlx-lm's): integers and 8-bit floats of such a base are codes, whatever lies beside them.
 */

import { DTYPE_BITS, isFloatDtype } from "../../core/dtype.ts";
import { UnsupportedError } from "../../core/errors.ts";
import type { Model } from "../../formats/model.ts";
import { quantisationKey } from "../../formats/model-config.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { NameFinder } from "./names.ts";

/** Instead of `weight`. */
const REPLACEMENTS = ["qweight", "weight_packed", "W_q", "weight._data"];

/** Beside `weight`; f8 weights without any of these are plain numbers. */
const COMPANIONS = [
  "weight.absmax",
  "weight.quant_map",
  "weight.quant_state.bitsandbytes__nf4",
  "weight.quant_state.bitsandbytes__fp4",
  "weight_scale_inv",
  "weight_scale",
  "SCB",
  "weight_format",
];

/**
 * @param path of a parameter, with or without a tensor in the base
 * @throws {UnsupportedError} QUANTIZED_BASE naming it
 */
export function refuseQuantized(
  path: string,
  { model, names }: { readonly model: Model; readonly names: NameFinder },
): void {
  const tensors = model.store.tensors;
  const tensor = tensors.get(path);
  const weight = ".weight";
  const module = path.endsWith(weight) ? path.slice(0, -weight.length) : undefined;
  const signs =
    tensor === undefined
      ? [...(module === undefined ? [] : REPLACEMENTS.map((name) => `${module}.${name}`)), `${path}_blocks`]
      : [
          ...(module === undefined ? [] : COMPANIONS.map((name) => `${module}.${name}`)),
          `${path}_scale`,
          `${path}_scale_inv`,
        ];
  const sign = signs.find((name) => (tensor === undefined ? names.find(name).kind !== "none" : tensors.has(name)));
  const packed = tensor !== undefined && mayBeCodes(tensor) && quantisationKey(model.config) !== undefined;
  if (sign === undefined && !packed) return;
  throw new UnsupportedError("QUANTIZED_BASE", "the weight is quantised, a delta cannot be added to it", {
    file: model.path,
    subject: path,
    hint: "merge into the original weights, then quantise the result",
  });
}

/** Whether the numbers may stand for others: integers and floats of 8 bits, where config.json says that weights are quantised. */
export function mayBeCodes({ dtype }: Pick<TensorData, "dtype">): boolean {
  return !isFloatDtype(dtype) || DTYPE_BITS[dtype] <= 8;
}
