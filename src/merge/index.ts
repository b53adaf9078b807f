/**
 * `lora-tool/merge`: base + adapters → inference-ready weights, and the proof.
 */

export type { Part } from "../core/part.ts";
export { combine } from "./combine/adapter/combine.ts";
export type { CombineOptions } from "./combine/adapter/options.ts";
export type { CombinedModule, CombineReport } from "./combine/adapter/report.ts";
export { type MergeOptions, merge } from "./merge.ts";
export type { Action, OutputDtype } from "./plan.ts";
export { PROVENANCE_KEY } from "./provenance.ts";
export type { AdapterSummary, MergeReport, MergeResult, PlannedRow } from "./report.ts";
export { type Verification, type VerifiedTensor, type VerifyOptions, type VerifyReport, verify } from "./verify.ts";
