/**
 * `lora-tool/formats`: bytes ⇄ named tensors.
 */

export type { Dtype } from "../core/dtype.ts";
export type { JsonObject, JsonValue } from "../core/json.ts";
export type { Shape } from "../core/shape.ts";
export { readTensorBytes } from "./byte-source.ts";
export type { Model, WeightFile } from "./model.ts";
export { openModel } from "./open-model.ts";
export { FORMATS, type FormatName, formatOf, openStore } from "./registry.ts";
export { canonicalOrder, encodeHeader, writeSafetensors } from "./safetensors/writer.ts";
export type { FileIdentity, FileRange, MemoryRange, TensorData, TensorStore } from "./tensor-store.ts";
export type { FrameEntry } from "./weights-frame.ts";
