/**
 * `convert`: the same adapter in the layout of another tool, the same model in another container.
 */

import { UsageError } from "../core/errors.ts";
import { assertOptionKinds } from "../core/option-kinds.ts";
import { CONVERTERS } from "./converters.ts";
import { CONVERT_OPTION_KINDS, type ConvertOptions } from "./options.ts";
import type { ConvertReport } from "./report.ts";

/**
 * @throws {UsageError} naming the option that is unknown or wrong
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for what the target cannot express, with module and reason
 * @throws {MismatchError} where adapter and base do not fit together
 * @throws {FileError} for what stands in the way on disk; the output is then as it was
 */
export async function convert(options: ConvertOptions): Promise<ConvertReport> {
  assertOptionKinds("convert", options, CONVERT_OPTION_KINDS);
  const { to } = options;
  if (options.link && to !== "onnx") throw new UsageError(`only models for onnx can be linked, got ${to}`);
  return CONVERTERS[to](options);
}
