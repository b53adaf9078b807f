/**
 * Training alone, for programs that need nothing else (`lora-tool/train`).
 */

export type { Convention } from "../adapters/adapter.ts";
export type { Part } from "../core/part.ts";
export type { OnProgress, ProgressEvent, ProgressPhase, RunOptions } from "../core/progress.ts";
export type { DeviceInfo, DeviceName, EngineName } from "../engine/device.ts";
export type { InitialisationName } from "./adapter/initialisations.ts";
export type { Advice } from "./advice.ts";
export type { DataSummary } from "./data/prepare.ts";
export type { PreviewSpan, RowPreview } from "./data/preview.ts";
export type { RowKind } from "./data/row.ts";
export type { OptimizerName } from "./optimise/optimizer.ts";
export type { Scheduler } from "./optimise/schedule.ts";
export type { SchedulerArguments } from "./optimise/schedule-arguments.ts";
export type { TrainOptions } from "./options.ts";
export type { TrainedModuleReport, TrainReport, TrainResult } from "./report.ts";
export type { CheckpointEvent, Evaluation, StepEvent, TrainEvent, WarningEvent } from "./run/events.ts";
export type { MemoryEstimate } from "./step/estimate-memory.ts";
export type { Cell } from "./sweep/cell.ts";
export type { SweepOptions } from "./sweep/options.ts";
export type { CellReport, SweepResult } from "./sweep/report.ts";
export { type SweepReport, sweep } from "./sweep/sweep.ts";
export { train } from "./train.ts";
