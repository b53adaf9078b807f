/**
 * The base that a path names: an .onnx file, or a Hugging Face folder or weights file.
 */

import type { Base } from "./base.ts";
import { openModelBase } from "./model-base.ts";
import { openOnnxBase } from "./onnx/onnx-base.ts";

/** Headers only; the base's `load` reads the weights. */
export async function openBase(path: string): Promise<Base> {
  return path.endsWith(".onnx") ? openOnnxBase(path) : openModelBase(path);
}
