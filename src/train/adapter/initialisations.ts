/**
 * The initialisations of adapters by name, apart from how they are computed.
 */

/** Each with what PEFT calls it in `init_lora_weights`. */
export const INITIALISATIONS = {
  default: true,
  random: false,
  gaussian: "gaussian",
  orthogonal: "orthogonal",
  pissa: "pissa",
  olora: "olora",
} as const;
export type InitialisationName = keyof typeof INITIALISATIONS;

/** Whether training starts from W − scale · up · down instead of W; embeddings have no such initialisation. */
export function leavesResidual(init: InitialisationName, kind: "linear" | "embedding"): init is "pissa" | "olora" {
  return kind === "linear" && (init === "pissa" || init === "olora");
}
