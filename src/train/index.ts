/**
 * Training alone, for programs that need nothing else (`lora-tool/train`).
 */

export type { TrainOptions } from "./options.ts";
export type { TrainedModuleReport, TrainReport, TrainResult } from "./report.ts";
export type { Evaluation, StepEvent, TrainEvent } from "./run/events.ts";
export { train } from "./train.ts";
