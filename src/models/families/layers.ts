/** Descriptions of single layers from their module names. */

import type { LinearDescription, LinearKind, NormDescription, NormKind } from "../description.ts";

export function describeLinear(
  module: string,
  inputs: number,
  outputs: number,
  hasBias: boolean,
  kind: LinearKind = "linear",
): LinearDescription {
  const bias = hasBias ? `${module}.bias` : undefined;
  return { module, kind, weight: `${module}.weight`, bias, inputs, outputs };
}

/** Norms of one kind and epsilon, by module name and size. */
export function normsOf(kind: NormKind, epsilon: number): (module: string, size: number) => NormDescription {
  const hasBias = kind === "layer";
  return (module, size) => ({
    kind,
    weight: `${module}.weight`,
    bias: hasBias ? `${module}.bias` : undefined,
    size,
    epsilon,
  });
}
