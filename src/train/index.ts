/**
 * Training alone, for programs that need nothing else (`lora-tool/train`).
 */

export type { TrainOptions } from "./options.ts";
export type { TrainedModuleReport, TrainReport, TrainResult } from "./report.ts";
export type { Evaluation, StepEvent, TrainEvent } from "./run/events.ts";
export type { SweepOptions } from "./sweep/options.ts";
export type { SweepReport } from "./sweep/sweep.ts";
export { sweep } from "./sweep/sweep.ts";
export { train } from "./train.ts";
