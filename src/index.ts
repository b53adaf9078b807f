/**
 * The public API: one function for each command, typed errors, progress events. Nothing here prints or exits.
 */

export { convert } from "./convert/convert.ts";
export type { ConvertOptions } from "./convert/options.ts";
export type { ConvertReport } from "./convert/report.ts";
export {
  type ErrorCode,
  FileError,
  FormatError,
  InterruptedError,
  LoraToolError,
  MemoryError,
  MismatchError,
  NonFiniteError,
  UnsupportedError,
  UsageError,
} from "./core/errors.ts";
export type { OnProgress, ProgressEvent, ProgressPhase, RunOptions } from "./core/progress.ts";
export { VERSION } from "./core/version.ts";
export {
  type InspectedAdapter,
  type InspectedModel,
  type InspectOptions,
  type InspectReport,
  inspect,
} from "./inspect/inspect.ts";
export {
  type CombineOptions,
  type CombineReport,
  combine,
  type MergeOptions,
  type MergeReport,
  merge,
  type Verification,
  type VerifyOptions,
  type VerifyReport,
  verify,
} from "./merge/index.ts";
export {
  type ExtractOptions,
  type ExtractReport,
  extract,
  type RescaleOptions,
  type RescaleReport,
  type ResizeOptions,
  type ResizeReport,
  rescale,
  resize,
} from "./rescale/index.ts";
export {
  type CellReport,
  type CheckpointEvent,
  type Evaluation,
  type StepEvent,
  type SweepOptions,
  type SweepReport,
  sweep,
  type TrainEvent,
  type TrainedModuleReport,
  type TrainOptions,
  type TrainReport,
  type TrainResult,
  train,
  type WarningEvent,
} from "./train/index.ts";
