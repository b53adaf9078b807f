/**
 * What an adapter has beyond the factors of its modules, held against what a layout can express: anything else is refused
 * by name, never left out.
 */

import { UnsupportedError } from "../../core/errors.ts";
import { sameShape } from "../../core/shape.ts";
import { quote, summarise } from "../../core/text.ts";
import type { Model } from "../../formats/model.ts";
import type { TensorData } from "../../formats/tensor-store.ts";
import type { Adapter, AdapterModule, Delta, LayerKind } from "../adapter.ts";
import { describeArchitecture } from "../architecture/architecture.ts";
import { fullName } from "../full-name.ts";
import { NameIndex } from "../resolve/names.ts";
import { sameNumbers } from "../same-numbers.ts";
import type { WriteContext } from "./layout-writer.ts";

/** What a layout has a place for. */
export interface Expressible {
  /** How errors name the layout: `MLX`. */
  readonly target: string;
  readonly deltas: readonly Delta["kind"][];
  readonly kinds: readonly LayerKind[];
  /** DoRA magnitudes of each kind of layer. */
  readonly magnitudes: Partial<Record<LayerKind, readonly ("outputs" | "inputs")[]>>;
  readonly bias: boolean;
}

/**
 * The modules of an adapter that consists of nothing else.
 *
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER naming the first module or parameter that cannot be carried, and why
 */
export function expressibleModules(adapter: Adapter, layout: Expressible, context: WriteContext): AdapterModule[] {
  const { overrides, tokenRows } = adapter;
  const { target } = layout;
  if (overrides.length > 0) {
    const names = summarise(overrides.map(({ name }) => quote(name)));
    throw cannot(adapter.path, `${target} has no place for whole tensors: ${names}`);
  }
  if (tokenRows.length > 0) {
    const names = summarise(tokenRows.map(({ name }) => quote(name)));
    throw cannot(adapter.path, `${target} has no place for single rows of an embedding: ${names}`);
  }
  return adapter.modules.map((module) => {
    const reason = reasonAgainst(module, layout, context);
    if (reason === undefined) return module;
    const name = fullName(module);
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", reason, { file: adapter.path, subject: name, hint: MERGE });
  });
}

function cannot(file: string, problem: string): UnsupportedError {
  return new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file, hint: MERGE });
}

const MERGE = "merge it into its base instead: lora-tool merge";

function reasonAgainst(module: AdapterModule, layout: Expressible, context: WriteContext): string | undefined {
  const { delta, kind, magnitude, magnitudeAxis = "outputs", bias, residual, baseWeight, parameter } = module;
  const { target } = layout;
  if (!layout.deltas.includes(delta.kind)) return `${target} has no place for ${DELTAS[delta.kind]}`;
  if (!layout.kinds.includes(kind)) return `${target} has no place for adapted ${KINDS[kind]}`;
  if (magnitude !== undefined && !layout.magnitudes[kind]?.includes(magnitudeAxis)) {
    return `${target} has no place for a DoRA magnitude for each ${magnitudeAxis === "inputs" ? "input" : "output"} of ${KINDS[kind]}`;
  }
  if (bias !== undefined && !layout.bias) return `${target} has no place for the bias of lora_B (lora_bias)`;
  if (parameter !== undefined && kind !== "experts" && delta.kind !== "full") {
    return `${target} adapts layers, not the parameter ${quote(parameter)}`;
  }
  if (residual !== undefined) {
    return `the initialisation ${residual} changed the base weights, and ${target} has no place to say so`;
  }
  return baseWeight === undefined ? undefined : reasonAgainstWeight(module, baseWeight, target, context);
}

/** PEFT saves the weights of adapted embeddings besides; they say nothing where they are those of the base. */
function reasonAgainstWeight(
  { name }: AdapterModule,
  baseWeight: TensorData,
  target: string,
  { base }: WriteContext,
): string | undefined {
  if (base === undefined) {
    return `the file has a weight of the base for it, which may not be the base's own, expected --base to compare with`;
  }
  const own = findWeight(name, base);
  if (own !== undefined && sameShape(own.shape, baseWeight.shape) && sameNumbers(own, baseWeight)) return undefined;
  return `the file has a weight for it that is not the base's, and ${target} has no place for it`;
}

/** The weight in the base, by whatever name; of a tied end the other one. */
function findWeight(name: string, base: Model): TensorData | undefined {
  const { renames, tie } = describeArchitecture(base);
  const match = new NameIndex(base.store.tensors, renames).find(`${name}.weight`);
  if (match.kind === "one") return match.tensor;
  if (tie === undefined) return undefined;
  return base.store.tensors.get(tie.output) ?? base.store.tensors.get(tie.input);
}

const DELTAS: Record<Delta["kind"], string> = {
  lora: "LoRA",
  loha: "LoHa",
  lokr: "LoKr",
  ia3: "IA3",
  vera: "VeRA",
  oft: "OFT",
  full: "the change of a whole parameter",
};

const KINDS: Record<LayerKind, string> = {
  linear: "linear layers",
  embedding: "embeddings",
  conv: "convolutions",
  experts: "stacked experts",
};
