/**
 * `lora-tool/merge`: base + adapters → inference-ready weights, and the proof.
 */

export type { Convention, ExpertOrder, LayerKind } from "../adapters/adapter.ts";
export type { FactorDtypeWish } from "../adapters/low-rank/factor-dtype.ts";
export type { Dtype } from "../core/dtype.ts";
export type { Part } from "../core/part.ts";
export type { OnProgress, ProgressEvent, ProgressPhase, RunOptions } from "../core/progress.ts";
export type { Range } from "../core/range.ts";
export type { Shape } from "../core/shape.ts";
export type { DeviceName, EngineName } from "../engine/device.ts";
export { combine } from "./combine/adapter/combine.ts";
export type { CombineOptions } from "./combine/adapter/options.ts";
export type { CombinedModule, CombineReport } from "./combine/adapter/report.ts";
export type { MajoritySign } from "./combine/method.ts";
export type { MethodName } from "./combine/registry.ts";
export { type MergeOptions, merge } from "./merge.ts";
export type { Action, OutputDtype } from "./plan.ts";
export { type HashedFile, PROVENANCE_KEY } from "./provenance.ts";
export type { AdapterSummary, MergeReport, MergeResult, PlannedRow } from "./report.ts";
export { type Verification, type VerifiedTensor, type VerifyOptions, type VerifyReport, verify } from "./verify.ts";
export type { RowsVerified } from "./verify-rows.ts";
