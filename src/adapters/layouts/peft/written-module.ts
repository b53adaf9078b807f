/**
 * One module of an adapter as PEFT saves it: its tensors by name, and the rank and alpha that settings must give it.
 *
 * PEFT 0.21.2 (`lora/layer.py`, `save_and_load.py`): `base_model.model.<path>.lora_A.weight` …; embeddings
 * `lora_embedding_A`; parameters of one module wrapped one around the other, the first registered innermost.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import { elementCount } from "../../../core/shape.ts";
import type { AdapterModule, Convention } from "../../adapter.ts";
import { alphaOfScale } from "../../alpha.ts";
import { sliceColumns } from "../../matrix.ts";
import { downTensor, type LoraFactors, loraFactors, upTensor } from "../../output/lora-factors.ts";
import { blockOf, copyOf, type OutputTensor, stacked } from "../../output/output-tensor.ts";
import { effectiveScale } from "../../scale.ts";

export interface WrittenModule {
  /** What the patterns see. */
  readonly settingsName: string;
  /** Named in `target_parameters` instead of `target_modules`. */
  readonly isParameter: boolean;
  readonly rank: number;
  readonly alpha: number;
  readonly tensors: readonly OutputTensor[];
}

/**
 * @param path of the factors, wrappers included: `model.layers.0.mlp.experts.base_layer`
 * @param prefix of all names
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER naming the module
 */
export function writePeftModule(
  module: AdapterModule,
  path: string,
  convention: Convention,
  prefix = "base_model.model",
): WrittenModule {
  const { name, parameter, kind, rank, scale, magnitude, magnitudeAxis, bias, baseWeight } = module;
  const factors = loraFactors(module, "the LoRA of PEFT");
  const key = `${prefix}.${path}`;
  if (magnitudeAxis === "inputs") {
    throw new UnsupportedError(
      "UNSUPPORTED_ADAPTER",
      "has a DoRA magnitude for each input, PEFT has those of outputs",
      {
        subject: name,
        hint: "merge it into its base instead",
      },
    );
  }
  // A weight that the settings name as a parameter belongs to a module of a class of its own, such as a router.
  const adapted = module.settingsName === `${name}.weight` ? "weight" : parameter;
  const isParameter = adapted !== undefined && adapted !== "in_proj_weight";
  // A settings file holds no negative alpha; the sign of `up` can be turned exactly.
  const sign = scale < 0 ? -1 : 1;
  const tensors =
    kind === "embedding"
      ? [downTensor(`${key}.lora_embedding_A`, factors), upTensor(`${key}.lora_embedding_B`, factors, sign)]
      : [downTensor(`${key}.lora_A.weight`, factors), upOf(module, factors, `${key}.lora_B.weight`, sign)];
  if (bias !== undefined) {
    tensors.push(stacked(`${key}.lora_B.bias`, bias.shape, length(bias), [blockOf(vectorOf(bias), { factor: sign })]));
  }
  if (magnitude !== undefined) {
    const outputs = length(magnitude);
    const ones = factors.inputShape.slice(1).map(() => 1);
    const shape = ones.length === 0 ? [outputs] : [1, outputs, ...ones];
    tensors.push(copyOf(magnitude, `${key}.lora_magnitude_vector`, shape));
  }
  if (baseWeight !== undefined) tensors.push(copyOf(baseWeight, `${key}.base_layer.weight`));
  return {
    settingsName: isParameter ? `${name}.${adapted}` : (wrapperOf(module) ?? name),
    isParameter,
    rank,
    alpha: alphaFor(module, convention),
    tensors,
  };
}

/** The attention that PEFT wraps with the output projection inside of it. */
export function wrapperOf({ name, settingsName }: AdapterModule): string | undefined {
  return settingsName !== undefined && name.startsWith(`${settingsName}.`) ? settingsName : undefined;
}

/** The alpha that the module has, if it gives the scale under the convention. */
function alphaFor({ alpha, scale, rank }: AdapterModule, convention: Convention): number {
  return effectiveScale(convention, alpha, rank) === scale ? alpha : alphaOfScale(convention, Math.abs(scale), rank);
}

/** Stacked experts are rank-major in PEFT: column i · E + e of `up` is column i of expert e. */
function upOf(module: AdapterModule, factors: LoraFactors, name: string, factor: number): OutputTensor {
  if (module.expertLayout?.order !== "expert-major") return upTensor(name, factors, factor);
  const { up } = factors;
  const experts = up.columns / module.rank;
  const blocks = Array.from({ length: experts }, (_, expert) =>
    blockOf(sliceColumns(up, expert * module.rank, module.rank), {
      factor,
      columnStart: expert,
      columnStep: experts,
    }),
  );
  return stacked(name, [up.rows, up.columns], up.columns, blocks);
}

function vectorOf(tensor: Parameters<typeof copyOf>[0]) {
  const columns = length(tensor);
  return { tensor, rows: 1, columns, offset: 0, rowStride: columns, columnStride: 1 };
}

function length({ shape }: { readonly shape: readonly number[] }): number {
  return elementCount(shape) ?? 0;
}
