/**
 * `lora-tool/rescale`: the same adapter under another convention, alpha or scale.
 */

export { extract } from "./extract/extract.ts";
export type { ExtractOptions } from "./extract/options.ts";
export type { ExtractedModule, ExtractReport } from "./extract/report.ts";
export type { RescaleOptions } from "./options.ts";
export type { RescaledModule, RescaledWeights, RescaleReport } from "./report.ts";
export { rescale } from "./rescale.ts";
export type { ResizeOptions } from "./resize/options.ts";
export type { ResizedModule, ResizeReport } from "./resize/report.ts";
export { resize } from "./resize/resize.ts";
