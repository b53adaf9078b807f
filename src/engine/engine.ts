/**
 * The one seam for heavy arithmetic: a graph is compiled for a device and run. Nothing above this layer knows what a GPU
 * is; nothing below it computes.
 */

import { UnsupportedError } from "../core/errors.ts";
import type { Graph } from "../formats/onnx/graph.ts";
import { mayHaveGpu } from "./adapter-identity.ts";
import {
  autoAccepts,
  autoDevices,
  DEVICE_PLATFORMS,
  type Device,
  type DeviceInfo,
  type DeviceName,
  type EngineName,
  type Purpose,
  runsOn,
} from "./device.ts";
import { disableTelemetry } from "./telemetry.ts";
import type { EngineTensor, EngineTensors } from "./tensor.ts";

export interface Engine {
  readonly device: DeviceInfo;
  /** Whether constants in f16 stay f16 on the device and are widened by Casts as it runs: half the memory of f32. */
  readonly keepsF16: boolean;
  /**
   * Makes a graph ready to run. Initialisers in memory are copied once by the engine and may be freed afterwards; those
   * in files are mapped from them, so the files must not change while the program is open.
   *
   * @throws {UnsupportedError} UNSUPPORTED_OPERATOR when the device has no kernel for a node
   * @throws {FormatError} INVALID_MODEL when a graph that came out of a file (`options.file`) is at fault
   * @throws {MemoryError} when its weights do not fit
   */
  compile(graph: Graph, options?: CompileOptions): Promise<Program>;
  /** Closes the programs that are still open, too. */
  close(): Promise<void>;
}

export interface CompileOptions {
  /** The file that the graph was read from: what is wrong with the graph is then the file's fault. */
  readonly file?: string;
  /**
   * `speed` (default) lays weights out anew for the kernels and keeps freed memory for the next run; `size` does neither:
   * weights in files then cost no memory of the process.
   */
  readonly prefer?: "speed" | "size";
  /** Lets nodes for which another device has no kernel run on the processor; by default that is an error. */
  readonly allowCpuNodes?: boolean;
}

export interface Program {
  /**
   * Runs the graph once. The calling thread is blocked meanwhile (onnxruntime-node 1.30 computes on it), so work that
   * must stay responsive belongs into a worker thread. Buffers must stay where they are until the promise settles:
   * WebAssembly memory must not grow.
   *
   * @param feeds one tensor for each input of the graph
   * @param fetches the outputs to compute, each with the tensor to write it into, or `undefined` for a new one; all
   *   outputs, new, by default. A tensor may also be one of the feeds, if each node that reads it reads before it writes.
   * @throws {MemoryError} when memory runs out
   */
  run(feeds: EngineTensors, fetches?: ReadonlyMap<string, EngineTensor | undefined>): Promise<EngineTensors>;
  close(): Promise<void>;
}

export interface EngineOptions {
  readonly device: DeviceName;
  /** `onnxruntime` by default. */
  readonly engine?: EngineName;
  /** Threads of the processor that one run uses; 1 for engines in worker threads. By default one for each core. */
  readonly threads?: number;
  /** What `auto` stands for; see `device.ts`. */
  readonly purpose?: Purpose;
}

/**
 * Opens a device and proves with a small graph that it computes. The processor may have an engine in each thread of a
 * process; any other device only one engine in all of them (WebGPU in two threads ends the process).
 *
 * @throws {UnsupportedError} DEVICE_UNAVAILABLE when it is not there; never another device instead
 */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const { device: name, engine: engineName = "onnxruntime", threads, purpose = "merge" } = options;
  if (engineName === "tfjs") {
    const { openTfjs } = await import("./tfjs/tfjs-engine.ts");
    return openTfjs(name);
  }
  const platform = `${process.platform}/${process.arch}`;
  if (name !== "auto") return open(name, threads, platform);
  for (const device of autoDevices(purpose, platform)) {
    if (device === "cpu") break;
    // Drivers print to stderr when there is nothing to drive.
    if (!mayHaveGpu()) continue;
    const engine = await open(device, threads, platform).catch((error: unknown) => {
      if (error instanceof UnsupportedError && error.code === "DEVICE_UNAVAILABLE") return undefined;
      throw error;
    });
    if (engine === undefined) continue;
    if (autoAccepts(engine.device)) return engine;
    await engine.close();
  }
  return open("cpu", threads, platform);
}

async function open(device: Device, threads: number | undefined, platform: string): Promise<Engine> {
  if (!runsOn(device, platform)) {
    throw new UnsupportedError(
      "DEVICE_UNAVAILABLE",
      `device ${device} is not available, expected one of ${DEVICE_PLATFORMS[device]?.join(", ")}, got ${platform}`,
      { hint: "use --device cpu" },
    );
  }
  disableTelemetry();
  // Loading the native library takes 40 ms and 15 MB, which `--help` must not pay.
  const { openOnnxRuntime } = await import("./onnxruntime.ts").catch((error: unknown) => {
    throw new UnsupportedError("DEVICE_UNAVAILABLE", `onnxruntime-node does not load on ${platform}`, {
      hint: "it has binaries for Linux (glibc), macOS and Windows on x64 and arm64; install it again if a file is missing",
      cause: error,
    });
  });
  return openOnnxRuntime(device, threads);
}
