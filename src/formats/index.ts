/**
 * `lora-tool/formats`: bytes ⇄ named tensors.
 */

export { readTensorBytes } from "./byte-source.ts";
export type { Model, WeightFile } from "./model.ts";
export { openModel } from "./open-model.ts";
export { FORMATS, type FormatName, formatOf, openStore } from "./registry.ts";
export { canonicalOrder, encodeHeader, type HeaderEntry, writeSafetensors } from "./safetensors/writer.ts";
export type { FileIdentity, FileRange, MemoryRange, TensorData, TensorStore } from "./tensor-store.ts";
