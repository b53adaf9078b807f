/**
 * Which TensorFlow.js computes: the first that the user has installed, natively on a GPU, natively on the processor, in
 * WebAssembly or in plain JavaScript. All are optional peers: the native packages download TensorFlow when they are
 * installed, and the others take 50 MB and are slower than ONNX Runtime (products of 512 × 512 on one core: 34 GFLOP/s by
 * ONNX Runtime, 8 in WebAssembly, 0.3 in plain JavaScript).
 */

import { createRequire } from "node:module";
import { UnsupportedError } from "../../core/errors.ts";
import type { DeviceInfo, DeviceName } from "../device.ts";

/** Every operation of tfjs-core, which each of the packages brings under the same names. */
export type Tfjs = typeof import("@tensorflow/tfjs-core");

export interface Backend {
  readonly tf: Tfjs;
  readonly device: DeviceInfo;
}

/** What is looked for, best first, and the backend that it registers. The process has one backend at a time. */
export const TFJS_PACKAGES = [
  { name: "@tensorflow/tfjs-node-gpu", device: "cuda", backend: "tensorflow" },
  { name: "@tensorflow/tfjs-node", device: "cpu", backend: "tensorflow" },
  { name: "@tensorflow/tfjs-backend-wasm", device: "cpu", backend: "wasm" },
  { name: "@tensorflow/tfjs-backend-cpu", device: "cpu", backend: "cpu" },
] as const;

export type TfjsPackage = (typeof TFJS_PACKAGES)[number];

const require = createRequire(import.meta.url);

const CORE = "@tensorflow/tfjs-core";
const INSTALL_HINT =
  "npm install @tensorflow/tfjs-node, or without native code: npm install @tensorflow/tfjs-core @tensorflow/tfjs-backend-wasm";

/** @throws {UnsupportedError} DEVICE_UNAVAILABLE when no package for the device is installed, or one does not load */
export async function openBackend(
  device: DeviceName,
  packages: readonly TfjsPackage[] = TFJS_PACKAGES,
): Promise<Backend> {
  if (device !== "auto" && !packages.some((each) => each.device === device)) {
    throw unavailable(device, "expected auto, cpu or cuda", "use --engine onnxruntime");
  }
  for (const candidate of packages) {
    if (device !== "auto" && candidate.device !== device) continue;
    const loaded = load(candidate.name);
    if (loaded === undefined) continue;
    // Backends without native code register themselves with the core, which is a package of its own.
    const tf = candidate.backend !== "tensorflow" ? load(CORE) : loaded;
    if (tf === undefined) continue;
    // Else it greets on stderr, and checks each result for NaN.
    tf.enableProdMode();
    if (!(await tf.setBackend(candidate.backend))) continue;
    if (candidate.device === "cuda" && !usesGpu(tf)) {
      if (device === "auto") continue;
      throw unavailable(
        device,
        `${candidate.name} finds no GPU`,
        "install CUDA 11 and cuDNN 8, which it was built for",
      );
    }
    const type = candidate.device === "cuda" ? "gpu" : "cpu";
    return { tf, device: { device: candidate.device, type, adapterName: candidate.name } };
  }
  throw unavailable(device, "none of its packages is installed", INSTALL_HINT);
}

function unavailable(device: DeviceName, reason: string, hint: string): UnsupportedError {
  const problem = `engine tfjs is not available for device ${device}: ${reason}`;
  return new UnsupportedError("DEVICE_UNAVAILABLE", problem, { hint });
}

/** The package, or `undefined` where it is not installed. */
function load(name: string): Tfjs | undefined {
  try {
    require.resolve(name);
  } catch {
    return undefined;
  }
  try {
    return require(name) as Tfjs;
  } catch (error) {
    throw new UnsupportedError("DEVICE_UNAVAILABLE", `${name} is installed but does not load`, {
      hint: "tfjs-node 4.22 loads on Node 22 and older; remove it to compute in plain JavaScript",
      cause: error,
    });
  }
}

/** tfjs-node's backend tells; it computes on the processor where TensorFlow finds no GPU. */
function usesGpu(tf: Tfjs): boolean {
  return (tf.backend() as { isUsingGpuDevice?: boolean }).isUsingGpuDevice === true;
}
