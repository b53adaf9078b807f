/**
 * Errors of ONNX Runtime as errors of this program. Its messages are all there is to go by; what matches nothing here
 * stays an ordinary error: the graph was ours, so it is a bug of ours.
 */

import { FormatError, type LoraToolError, MemoryError, UnsupportedError } from "../core/errors.ts";
import { escapeText, quote } from "../core/text.ts";
import type { Device } from "./device.ts";

const OUT_OF_MEMORY = /bad_alloc|failed to allocate|out ?of ?memory|array buffer allocation failed/i;
const NO_KERNEL = /could not find an implementation for (\w+)/i;
const CPU_FALLBACK = /fallback to CPU EP has been explicitly disabled/;

/** The user's next step when a device is not there. */
const DEVICE_HINTS: Readonly<Record<Device, string>> = {
  cpu: "install onnxruntime-node again",
  webgpu: "install the graphics driver (on Linux one for Vulkan), or use --device cpu",
  cuda: "install CUDA 12 and cuDNN 9, run ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install, or use --device cpu",
  coreml: "use --device cpu",
  dml: "install a driver for Direct3D 12, or use --device cpu",
};

export function deviceError(error: unknown, device: Device): UnsupportedError {
  // What the engine said, not that the probe failed.
  const reason = reasonOf(error instanceof Error ? (error.cause ?? error) : error);
  return new UnsupportedError("DEVICE_UNAVAILABLE", `device ${device} is not available: ${reason}`, {
    hint: DEVICE_HINTS[device],
    cause: error,
  });
}

export function compileError(
  error: unknown,
  about: { readonly graph: string; readonly device: Device; readonly file: string | undefined },
): LoraToolError | Error {
  const text = messageOf(error);
  const details = { subject: about.graph, cause: error, ...(about.file === undefined ? {} : { file: about.file }) };
  if (OUT_OF_MEMORY.test(text)) return new MemoryError("the weights of the graph do not fit into memory", details);
  const operator = NO_KERNEL.exec(text)?.[1];
  if (operator !== undefined) {
    return new UnsupportedError(
      "UNSUPPORTED_OPERATOR",
      `device ${about.device} has no kernel for operator ${quote(operator)} with these dtypes`,
      details,
    );
  }
  if (CPU_FALLBACK.test(text)) {
    const problem = `device ${about.device} has no kernel for some operators of the graph`;
    return new UnsupportedError("UNSUPPORTED_OPERATOR", problem, { ...details, hint: "use --device cpu" });
  }
  if (about.file !== undefined) {
    return new FormatError("INVALID_MODEL", `the graph does not compile: ${reasonOf(error)}`, details);
  }
  return new Error(`graph ${quote(about.graph)} does not compile: ${reasonOf(error)}`, { cause: error });
}

export function runError(error: unknown, graph: string): LoraToolError | Error {
  if (OUT_OF_MEMORY.test(messageOf(error))) {
    return new MemoryError("memory ran out while the graph was running", { subject: graph, cause: error });
  }
  return new Error(`graph ${quote(graph)} failed: ${reasonOf(error)}`, { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The first line, without the place in ONNX Runtime's sources, safe to print. */
function reasonOf(error: unknown): string {
  const [line = ""] = messageOf(error).split("\n");
  const text = escapeText(line.replace(/^\S*onnxruntime\S*\.(cc|h):\d+ .*? (?=Failed|Could|This|The)/, "").trim());
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}
