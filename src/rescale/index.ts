/**
 * `lora-tool/rescale`: the same adapter under another convention, alpha, scale or rank; the adapter between two models.
 */

export type { Convention, ExpertOrder, LayerKind, Layout } from "../adapters/adapter.ts";
export type { FactorDtypeWish } from "../adapters/low-rank/factor-dtype.ts";
export type { OnProgress, ProgressEvent, ProgressPhase, RunOptions } from "../core/progress.ts";
export type { Shape } from "../core/shape.ts";
export type { DeviceName, EngineName } from "../engine/device.ts";
export { extract } from "./extract/extract.ts";
export type { ExtractDtype, ExtractOptions } from "./extract/options.ts";
export type { ExtractedModule, ExtractReport } from "./extract/report.ts";
export type { RescaleOptions } from "./options.ts";
export type { RescaledModule, RescaledWeights, RescaleReport } from "./report.ts";
export { rescale } from "./rescale.ts";
export type { ResizeOptions } from "./resize/options.ts";
export type { ResizedModule, ResizeReport } from "./resize/report.ts";
export { resize } from "./resize/resize.ts";
