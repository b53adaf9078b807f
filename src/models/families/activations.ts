/** Names of activations in config.json (`ACT2FN` of transformers 5.23). */

import type { ActivationKind } from "../description.ts";

export const ACTIVATIONS: ReadonlyMap<string, ActivationKind> = new Map([
  ["silu", "silu"],
  ["swish", "silu"],
  ["gelu", "gelu"],
  ["gelu_python", "gelu"],
  ["gelu_new", "gelu-tanh"],
  ["gelu_pytorch_tanh", "gelu-tanh"],
  ["gelu_fast", "gelu-tanh"],
  ["gelu_accurate", "gelu-tanh"],
  ["relu", "relu"],
]);
