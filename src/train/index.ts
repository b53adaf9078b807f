/**
 * Training alone, for programs that need nothing else (`lora-tool/train`).
 */

export type { Advice } from "./advice.ts";
export type { DataSummary } from "./data/prepare.ts";
export type { TrainOptions } from "./options.ts";
export type { TrainedModuleReport, TrainReport, TrainResult } from "./report.ts";
export type { CheckpointEvent, Evaluation, StepEvent, TrainEvent, WarningEvent } from "./run/events.ts";
export type { MemoryEstimate } from "./step/estimate-memory.ts";
export type { Cell } from "./sweep/cell.ts";
export type { SweepOptions } from "./sweep/options.ts";
export type { CellReport, SweepResult } from "./sweep/report.ts";
export { type SweepReport, sweep } from "./sweep/sweep.ts";
export { train } from "./train.ts";
