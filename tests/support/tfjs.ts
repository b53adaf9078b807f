/** TensorFlow.js in plain JavaScript, whatever else is installed: it shares no code with ONNX Runtime. */

import type { Engine } from "../../src/engine/engine.ts";
import { TFJS_PACKAGES } from "../../src/engine/tfjs/backend.ts";
import { openTfjs } from "../../src/engine/tfjs/tfjs-engine.ts";

export const PLAIN_TFJS = TFJS_PACKAGES.filter(({ backend }) => backend === "cpu");

export function openPlainTfjs(): Promise<Engine> {
  return openTfjs("cpu", PLAIN_TFJS);
}
