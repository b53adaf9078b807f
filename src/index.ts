/**
 * The public API: one function for each command, typed errors, progress events. Nothing here prints or exits.
 */

export type { Convention, ExpertOrder, LayerKind, Layout } from "./adapters/adapter.ts";
export type { FactorDtypeWish } from "./adapters/low-rank/factor-dtype.ts";
export { convert } from "./convert/convert.ts";
export type { ConvertOptions, ConvertTarget } from "./convert/options.ts";
export type { AdapterConversion, ConvertedModule, ConvertReport, ModelConversion } from "./convert/report.ts";
export type { Dtype } from "./core/dtype.ts";
export {
  type ErrorCode,
  type ErrorDetails,
  type FileCode,
  FileError,
  type FormatCode,
  FormatError,
  InterruptedError,
  LoraToolError,
  MemoryError,
  type MismatchCode,
  MismatchError,
  NonFiniteError,
  type UnsupportedCode,
  UnsupportedError,
  UsageError,
} from "./core/errors.ts";
export type { Part } from "./core/part.ts";
export type { OnProgress, ProgressEvent, ProgressPhase, RunOptions } from "./core/progress.ts";
export type { Range } from "./core/range.ts";
export type { Shape } from "./core/shape.ts";
export { VERSION } from "./core/version.ts";
export type { DeviceInfo, DeviceName, EngineName } from "./engine/device.ts";
export type { WeightAxes } from "./formats/onnx/weight-uses.ts";
export type { FormatName } from "./formats/registry.ts";
export {
  type DtypeTotal,
  type InspectedAdapter,
  type InspectedModel,
  type InspectedModule,
  type InspectedTensor,
  type InspectOptions,
  type InspectReport,
  inspect,
} from "./inspect/inspect.ts";
export type { InspectedGraph, InspectedParameter } from "./inspect/inspect-graph.ts";
export {
  type Action,
  type AdapterSummary,
  type CombinedModule,
  type CombineOptions,
  type CombineReport,
  combine,
  type HashedFile,
  type MajoritySign,
  type MergeOptions,
  type MergeReport,
  type MergeResult,
  type MethodName,
  merge,
  type OutputDtype,
  type PlannedRow,
  type RowsVerified,
  type Verification,
  type VerifiedTensor,
  type VerifyOptions,
  type VerifyReport,
  verify,
} from "./merge/index.ts";
export {
  type ExtractDtype,
  type ExtractedModule,
  type ExtractOptions,
  type ExtractReport,
  extract,
  type RescaledModule,
  type RescaledWeights,
  type RescaleOptions,
  type RescaleReport,
  type ResizedModule,
  type ResizeOptions,
  type ResizeReport,
  rescale,
  resize,
} from "./rescale/index.ts";
export {
  type Advice,
  type Cell,
  type CellReport,
  type CheckpointEvent,
  type DataSummary,
  type Evaluation,
  type InitialisationName,
  type MemoryEstimate,
  type OptimizerName,
  type PreviewSpan,
  type RowKind,
  type RowPreview,
  type Scheduler,
  type SchedulerArguments,
  type StepEvent,
  type SweepOptions,
  type SweepReport,
  type SweepResult,
  sweep,
  type TrainEvent,
  type TrainedModuleReport,
  type TrainOptions,
  type TrainReport,
  type TrainResult,
  train,
  type WarningEvent,
} from "./train/index.ts";
