/**
 * What a tensor of a model is to an adapter, from its name, its shape and the architecture: the weight of a layer that has a
 * LoRA, or a parameter that is replaced as a whole.
 */

import type { AdapterModule } from "../../adapters/adapter.ts";
import type { Architecture } from "../../adapters/architecture/architecture.ts";
import { applyRenames } from "../../adapters/architecture/renames.ts";
import { runsOnInputsFirst } from "../../adapters/resolve/expert-names.ts";
import { elementCount, type Shape } from "../../core/shape.ts";
import { lastPart } from "../../core/text.ts";

/** A difference that becomes factors. */
export interface FactoredTensor extends Pick<AdapterModule, "name" | "parameter" | "kind" | "expertLayout"> {
  /** Of stacked experts; 1 for all others. */
  readonly experts: number;
  /** [rows, columns] of one expert as it is stored. */
  readonly rows: number;
  readonly columns: number;
  /** The layer's [outputs, inputs] is the transpose of what is stored. */
  readonly turned: boolean;
  /** Dimensions of the layer's weight behind its outputs: [in, kernel …]. */
  readonly inputShape: Shape;
}

/** Names of modules that look rows up; the head is a linear layer, whatever its name. */
const EMBEDDING = /^(?:wte|wpe|shared|relative_attention_bias|\w*embed(?:s|ding|dings)?(?:_\w+)?)$/i;

/** `undefined`: no layer that PEFT has a LoRA for, or none that a name and a shape show. */
export function classify(tensor: string, shape: Shape, architecture: Architecture): FactoredTensor | undefined {
  const path = applyRenames(tensor, architecture.renames);
  const dot = path.lastIndexOf(".");
  const [name, parameter] = [path.slice(0, Math.max(dot, 0)), path.slice(dot + 1)];
  if (name === "" || shape.includes(0)) return undefined;
  if (parameter !== "weight")
    return shape.length === 3 ? classifyExperts(name, parameter, shape, architecture) : undefined;
  const [first = 0, ...rest] = shape;
  const columns = elementCount(rest) ?? 0;
  const whole = { name, experts: 1, rows: first, columns };
  if (shape.length === 2) {
    const isHead = tensor === architecture.ends.output;
    const isEmbedding = tensor === architecture.ends.input || EMBEDDING.test(lastPart(name));
    if (isEmbedding && !isHead) return { ...whole, kind: "embedding", turned: true, inputShape: [first] };
    const orientation = architecture.conv1d.orientationOf(name);
    if (orientation === "unknown") return undefined;
    const turned = orientation === "conv1d";
    return { ...whole, kind: "linear", turned, inputShape: [turned ? first : columns] };
  }
  // Of a depthwise convolution PEFT's LoRA has no merged weight.
  if (shape.length < 3 || shape.length > 5 || rest[0] === 1) return undefined;
  return { ...whole, kind: "conv", turned: false, inputShape: rest };
}

/** Stacked experts (E, …, …) that the running model has as they are stored. */
function classifyExperts(
  name: string,
  parameter: string,
  [experts = 0, rows = 0, columns = 0]: Shape,
  architecture: Architecture,
): FactoredTensor | undefined {
  if (experts < 2 || !/(?:^|\.)experts$/.test(name) || architecture.types.has("qwen3_vl_moe")) return undefined;
  const turned = runsOnInputsFirst({ architecture });
  return {
    name,
    parameter,
    kind: "experts",
    experts,
    rows,
    columns,
    turned,
    inputShape: [turned ? rows : columns],
    expertLayout: { order: "rank-major", swapped: false },
  };
}
