/**
 * What an ONNX graph has for a module that it cannot be told from: the constants that `--map` could name.
 */

import { isFloatDtype } from "../../core/dtype.ts";
import { formatShape, type Shape, sameShape } from "../../core/shape.ts";
import { quote, summarise } from "../../core/text.ts";
import type { OnnxParameter } from "../../formats/onnx/parameters/parameters.ts";
import type { ResolveContext } from "./context.ts";
import { factorSize } from "./factor-views.ts";

const MOST = 6;

/** Words behind a problem; empty when the base is no graph. */
export function candidatesFor(path: string, context: ResolveContext): string {
  const { graph } = context.model;
  if (graph === undefined) return "";
  const vector = path.endsWith(".bias");
  const size = sizeOf(path, context);
  const fitting = [...graph.byName.values()].filter(({ constant, isNamed, isFolded, isQuantized }) => {
    const { dtype, shape } = constant.tensor.data;
    if (isFolded || isQuantized || !isFloatDtype(dtype)) return false;
    if (size === undefined) return !isNamed && shape.length > 0 && (shape.length === 1) === vector;
    return sameShape(shape, size) || (size.length === 2 && sameShape(shape, size.toReversed()));
  });
  if (fitting.length === 0) return "; no constant of the graph would fit";
  return `; candidates for --map: ${summarise(fitting.map(describe), MOST)}`;
}

/** Of the parameter as a checkpoint has it; `undefined` where the adapter does not tell. */
function sizeOf(path: string, { adapter }: ResolveContext): Shape | undefined {
  const override = adapter.overrides.find(({ name }) => name === path);
  if (override !== undefined) return override.value.shape;
  const module = adapter.modules.find(({ name }) => path === `${name}.weight`);
  if (module?.delta.kind !== "lora" || module.kind === "conv") return undefined;
  const { outputs, inputs } = factorSize(module.delta);
  return [outputs, inputs];
}

function describe({ name, constant, uses, isNamed }: OnnxParameter): string {
  const node = uses[0]?.node;
  const called = isNamed ? ` (${quote(name)})` : node === undefined ? "" : ` (${node.opType} ${quote(node.name)})`;
  return `${quote(constant.key)} ${formatShape(constant.tensor.data.shape)}${called}`;
}
