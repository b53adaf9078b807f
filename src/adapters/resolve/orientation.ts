/**
 * Whether the weight of a linear layer is stored as [in, out] (HF Conv1D): by the architecture, else by the shapes of the
 * model's other layers; the adapter's own `fan_in_fan_out` counts only where neither says anything, with a warning.
 */

import { quote } from "../../core/text.ts";
import type { ResolveContext } from "./context.ts";
import { problem } from "./report.ts";

export function isTransposed(module: string, { architecture, adapter, report }: ResolveContext): boolean {
  const orientation = architecture.conv1d.orientationOf(module);
  if (orientation !== "unknown") return orientation === "conv1d";
  if (!adapter.fanInFanOut) {
    throw problem(
      "the base does not show whether the weight is [out, in] or [in, out], expected a config.json beside it that names the model_type",
    );
  }
  report.warnings.push(
    `${quote(module)}: taken as [in, out] because the adapter says fan_in_fan_out; the base has no config.json to confirm it`,
  );
  return true;
}
