/**
 * LoRA and LoCon: lora_down [rank, in, kernel …], lora_up [out, rank, 1 …]; with lora_mid [rank, rank, kernel …] the Tucker
 * form, down [rank, in, 1 …]. `dora_scale` [out, 1 …] holds norms for each output, [1, in, 1 …] for each input.
 */

import type { TensorData } from "../../../formats/tensor-store.ts";
import type { AdapterModule } from "../../adapter.ts";
import { effectiveScale } from "../../scale.ts";
import { hasDimensions, hasLength, hasShape } from "../peft/factor-shapes.ts";
import type { Problems } from "../peft/problems.ts";
import { readAlpha } from "./alpha.ts";
import type { AlgorithmReader } from "./modules.ts";

export const readLora: AlgorithmReader = (name, factors, problems) => {
  const [down, up] = [factors.get("lora_down.weight"), factors.get("lora_up.weight")];
  if (down === undefined || up === undefined) {
    const present = [...factors.keys()].join(", ");
    problems.add("ADAPTER_INCOMPLETE", name, `expected lora_down.weight and lora_up.weight, got ${present}`);
    return undefined;
  }
  const core = factors.get("lora_mid.weight");
  if (!hasDimensions([down, up], [2, 5], problems)) return undefined;
  const [rank = 0, inputs = 0] = down.shape;
  const [outputs = 0] = up.shape;
  const ones = up.shape.slice(2).map(() => 1);
  if (!hasShape(up, [outputs, rank, ...ones], problems)) return undefined;
  if (core !== undefined && !coreFits(core, down, rank, problems)) return undefined;
  const alpha = readAlpha(factors.get("alpha"), rank, problems);
  if (alpha === undefined) return undefined;
  const bias = factors.get("lora_up.bias");
  if (bias !== undefined && !hasLength(bias, outputs, problems)) return undefined;
  const magnitude = factors.get("dora_scale");
  const axis = magnitude && magnitudeAxis(magnitude, outputs, inputs, problems);
  if (magnitude !== undefined && axis === undefined) return undefined;
  return {
    name,
    kind: down.shape.length > 2 && (core ?? down).shape.slice(2).some((size) => size > 1) ? "conv" : "linear",
    delta: { kind: "lora", down, up, ...(core && { core }) },
    rank,
    alpha,
    scale: effectiveScale("lora", alpha, rank),
    ...(bias && { bias }),
    ...(magnitude && { magnitude }),
    ...(axis === "inputs" ? { magnitudeAxis: axis } : {}),
  } satisfies AdapterModule;
};

/** down [rank, in, 1 …] under a core [rank, rank, kernel …]. */
function coreFits(core: TensorData, down: TensorData, rank: number, problems: Problems): boolean {
  return (
    hasDimensions([core], [3, 5], problems) &&
    hasShape(core, [rank, rank, ...core.shape.slice(2)], problems) &&
    hasShape(down, [rank, down.shape[1] ?? 0, ...down.shape.slice(2).map(() => 1)], problems)
  );
}

/** A vector of one dimension counts for the outputs, as PEFT has it. */
function magnitudeAxis(
  { name, shape }: TensorData,
  outputs: number,
  inputs: number,
  problems: Problems,
): "outputs" | "inputs" | undefined {
  const [first, second = 1, ...rest] = shape;
  const isFlat = rest.every((size) => size === 1);
  if (isFlat && first === outputs && second === 1) return "outputs";
  if (isFlat && first === 1 && second === inputs) return "inputs";
  problems.add(
    "ADAPTER_MISMATCH",
    name,
    `expected one number for each of ${outputs} outputs or ${inputs} inputs, got [${shape.join(", ")}]`,
  );
  return undefined;
}
