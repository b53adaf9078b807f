/**
 * The operator set whose rules hold here.
 */

import { UnsupportedError } from "../core/errors.ts";
import type { Graph } from "../formats/onnx/graph.ts";

/** ReduceMean and ReduceMax take axes as an input, and ScatterElements adds, from here on. */
const OLDEST_OPSET = 18;

/** @throws {UnsupportedError} UNSUPPORTED_MODEL when operators of the graph may mean something else */
export function assertOperatorSet(graph: Graph): void {
  const opset = graph.opsetImports.get("") ?? 0;
  if (opset >= OLDEST_OPSET) return;
  throw new UnsupportedError("UNSUPPORTED_MODEL", `expected operator set ${OLDEST_OPSET} or later, got ${opset}`, {
    subject: graph.name,
    hint: "convert the model: onnx.version_converter.convert_version(model, 18)",
  });
}
