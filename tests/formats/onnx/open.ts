/** Opens bytes as a file, and writes what an editor lays out. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readTensorBytes } from "../../../src/formats/byte-source.ts";
import type { LayoutOptions, OnnxEditor } from "../../../src/formats/onnx/editor.ts";
import type { OnnxLayout } from "../../../src/formats/onnx/layout.ts";
import type { OnnxModel } from "../../../src/formats/onnx/model.ts";
import { type OpenOnnxOptions, openOnnx } from "../../../src/formats/onnx/reader.ts";
import { finishOnnx, writeOnnx } from "../../../src/formats/onnx/writer.ts";
import { errorOf } from "../../support/errors.ts";
import { temporaryFile, temporaryFolder } from "../../support/temporary-folder.ts";

export function openBytes(bytes: Uint8Array, options?: OpenOnnxOptions): OnnxModel {
  return openOnnx(temporaryFile("model.onnx", bytes), options);
}

/** Error code of opening these bytes. */
export async function codeOf(bytes: Uint8Array): Promise<string> {
  return (await errorOf(() => openBytes(bytes))).code;
}

/** Bytes of a constant of the model's store. */
export function bytesIn(model: OnnxModel, key: string): Uint8Array {
  const tensor = model.store.tensors.get(key);
  if (tensor === undefined) throw new Error(`no tensor ${key}`);
  return Uint8Array.from(readTensorBytes(tensor));
}

export interface Written {
  readonly folder: string;
  readonly layout: OnnxLayout;
  /** Bytes of an output file; the model's without a name. */
  readonly file: (name?: string) => Buffer;
  readonly open: () => OnnxModel;
}

/** Writes a layout into a fresh folder; `fill` gives the bytes of reserved ranges. */
export function write(
  editor: OnnxEditor,
  options?: LayoutOptions & { readonly name?: string; readonly fill?: (key: string) => Uint8Array },
): Written {
  const name = options?.name ?? "model.onnx";
  const layout = editor.layOut(name, options);
  const folder = temporaryFolder();
  const pathOf = (file: string) => join(folder, file);
  for (const file of layout.files) writeFileSync(pathOf(file.name), "");
  writeOnnx(layout, pathOf);
  for (const { name: file, pieces } of layout.files) {
    for (const { source, offset, byteLength, tensor = "" } of pieces) {
      if (source.kind !== "reserved") continue;
      const bytes = options?.fill?.(tensor);
      if (bytes?.length !== byteLength) throw new Error(`${tensor} needs ${byteLength} bytes`);
      const content = readFileSync(pathOf(file));
      const whole = Buffer.alloc(Math.max(content.length, offset + byteLength));
      content.copy(whole);
      whole.set(bytes, offset);
      writeFileSync(pathOf(file), whole);
    }
  }
  finishOnnx(layout, pathOf);
  return {
    folder,
    layout,
    file: (file = name) => readFileSync(pathOf(file)),
    open: () => openOnnx(pathOf(name)),
  };
}
