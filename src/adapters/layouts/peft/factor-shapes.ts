/**
 * Checks that the factors of a module are there, are floats and have shapes that fit each other.
 */

import { isFloatDtype } from "../../../core/dtype.ts";
import { UnsupportedError } from "../../../core/errors.ts";
import { formatShape } from "../../../core/shape.ts";
import { quote } from "../../../core/text.ts";
import { placeOf, type TensorData } from "../../../formats/tensor-store.ts";
import type { ModuleEntry } from "./entries.ts";
import type { Factor } from "./keys.ts";
import type { Problems } from "./problems.ts";

/**
 * The module's factors by name, when it has all that are required and no others.
 *
 * @throws {UnsupportedError} UNSUPPORTED_DTYPE for quantised factors
 */
export function takeFactors<Required extends Factor, Optional extends Factor = never>(
  { place, factors }: ModuleEntry,
  required: readonly Required[],
  optional: readonly Optional[],
  problems: Problems,
): (Readonly<Record<Required, TensorData>> & Partial<Readonly<Record<Optional, TensorData>>>) | undefined {
  const known: readonly Factor[] = [...required, ...optional];
  const foreign = [...factors].filter(([factor]) => !known.includes(factor));
  for (const [, tensor] of foreign) {
    problems.add("ADAPTER_MISMATCH", tensor.name, "does not belong to an adapter of this type");
  }
  const missing = required.filter((factor) => !factors.has(factor));
  if (missing.length > 0) {
    const present = [...factors.keys()].join(", ");
    problems.add("ADAPTER_INCOMPLETE", place.module, `${missing.join(", ")} missing, the file has ${present}`);
  }
  if (foreign.length > 0 || missing.length > 0) return undefined;
  for (const tensor of factors.values()) requireFloat(tensor);
  return Object.fromEntries(factors) as Record<Required, TensorData> & Partial<Record<Optional, TensorData>>;
}

/** Integers and packed types mean a quantised adapter, whose scales this program does not know. */
export function requireFloat(tensor: TensorData): void {
  if (isFloatDtype(tensor.dtype)) return;
  throw new UnsupportedError("UNSUPPORTED_DTYPE", `expected a float dtype for a factor, got ${tensor.dtype}`, {
    ...placeOf(tensor),
    hint: "quantised adapters are not read: save the adapter in float32, bfloat16 or float16",
  });
}

/** Whether every factor has from `least` to `most` dimensions, none of them 0; says so where not. */
export function hasDimensions(
  factors: readonly TensorData[],
  [least, most]: readonly [number, number],
  problems: Problems,
): boolean {
  let fine = true;
  for (const { name, shape } of factors) {
    if (shape.length >= least && shape.length <= most && !shape.includes(0)) continue;
    const expected = least === most ? `${least}` : `${least} to ${most}`;
    problems.add(
      "ADAPTER_MISMATCH",
      name,
      `expected ${expected} dimensions, none of them 0, got ${formatShape(shape)}`,
      shape.length < least || shape.includes(0) ? SHARDED_HINT : undefined,
    );
    fine = false;
  }
  return fine;
}

/** Whether a tensor has the expected shape; says so where not. */
export function hasShape(tensor: TensorData, expected: readonly number[], problems: Problems): boolean {
  if (tensor.shape.length === expected.length && tensor.shape.every((size, axis) => size === expected[axis]))
    return true;
  problems.add(
    "ADAPTER_MISMATCH",
    tensor.name,
    `expected shape ${formatShape(expected)}, got ${formatShape(tensor.shape)}`,
  );
  return false;
}

/** Whether a vector has one number for each output, in whatever of its dimensions. */
export function hasLength(tensor: TensorData, length: number, problems: Problems): boolean {
  const long = tensor.shape.filter((size) => size !== 1);
  if (tensor.shape.length > 0 && (length === 1 ? long.length === 0 : long.length === 1 && long[0] === length))
    return true;
  problems.add(
    "ADAPTER_MISMATCH",
    tensor.name,
    `expected ${length} numbers, one for each output, got ${formatShape(tensor.shape)}`,
  );
  return false;
}

/** Whether the tensors have the rank that the settings give; says so where not. */
export function hasRank(module: string, expected: number, actual: number, factor: string, problems: Problems): boolean {
  if (actual === expected) return true;
  problems.add(
    "RANK_MISMATCH",
    module,
    `expected rank ${expected} as in adapter_config.json, got ${actual} in ${quote(factor)}`,
    "r or rank_pattern does not belong to these weights",
  );
  return false;
}

const SHARDED_HINT =
  "parts of a model sharded by DeepSpeed ZeRO-3 or FSDP: gather the parameters before save_pretrained";
