/** Whether the name of an output says that it is an ONNX model. */

import { UsageError } from "../../core/errors.ts";

/** @throws {UsageError} for any name but that of an `.onnx` file */
export function assertOnnxName(out: string): void {
  if (/\.onnx$/i.test(out)) return;
  throw new UsageError("an ONNX graph is written, expected a name that ends in .onnx", { subject: out });
}
