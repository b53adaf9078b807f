/**
 * What a device really is. ONNX Runtime does not tell which adapter its WebGPU provider took (1.30: no API, no log line),
 * so the operating system is asked what this process holds while the device is open.
 *
 * Linux: no GPU can be driven without an open device file (/dev/dri/renderD…, /dev/nvidia…, /dev/dxg), so a process
 * without one is drawn in software, whatever the adapter calls itself. With one it is the GPU: Dawn puts processor
 * adapters last (SortAdapters in its Adapter.cpp). macOS: Metal has no software adapter. Elsewhere: unknown.
 */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Device, DeviceInfo } from "./device.ts";

/** What a process on Linux shows of itself under /proc/self. */
export interface ProcessFacts {
  /** Targets of its open file descriptors. */
  readonly openFiles: readonly string[];
  /** Paths of the files mapped into its memory. */
  readonly mappedFiles: readonly string[];
}

const GPU_FILE = /^\/dev\/(dri\/renderD\d+|nvidia\d+|dxg)$/;

/** Vulkan drivers that compute on the processor. */
const SOFTWARE_DRIVERS = [
  ["libvk_swiftshader", "SwiftShader"],
  ["libvulkan_lvp", "llvmpipe"],
] as const;

/** To be called while a program of the device is open. */
export function identifyDevice(device: Device, platform: NodeJS.Platform = process.platform): DeviceInfo {
  switch (device) {
    case "cpu":
      return { device, type: "cpu", adapterName: undefined };
    case "cuda":
      return { device, type: "gpu", adapterName: undefined };
    case "webgpu":
      if (platform === "linux") return identifyVulkan(readProcessFacts());
      return { device, type: platform === "darwin" ? "gpu" : "unknown", adapterName: undefined };
    case "coreml":
    case "dml":
      return { device, type: "unknown", adapterName: undefined };
  }
}

/** The rule for Linux, apart from where its facts come from. */
export function identifyVulkan(facts: ProcessFacts): DeviceInfo {
  const device = "webgpu";
  // A process always holds open files: an empty list means that /proc could not be read.
  if (facts.openFiles.length === 0) return { device, type: "unknown", adapterName: undefined };
  const gpuFile = facts.openFiles.find((path) => GPU_FILE.test(path));
  if (gpuFile !== undefined) return { device, type: "gpu", adapterName: gpuFile };
  const driver = SOFTWARE_DRIVERS.find(([library]) => facts.mappedFiles.some((path) => path.includes(library)));
  return { device, type: "software", adapterName: driver?.[1] };
}

/** Whether this process could open a GPU at all; only Linux can tell beforehand. */
export function mayHaveGpu(platform: NodeJS.Platform = process.platform): boolean {
  if (platform !== "linux") return true;
  return ["/dev/dri", "/dev"].some((folder) => list(folder).some((name) => GPU_FILE.test(`${folder}/${name}`)));
}

function readProcessFacts(): ProcessFacts {
  const openFiles = list("/proc/self/fd").flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/self/fd/${descriptor}`)];
    } catch {
      // The descriptor of the listing itself is closed by now.
      return [];
    }
  });
  let maps = "";
  try {
    maps = readFileSync("/proc/self/maps", "utf8");
  } catch {
    // Without it only the driver's name is missing.
  }
  const mappedFiles = maps.split("\n").flatMap((line) => line.match(/\s(\/.*)$/)?.[1] ?? []);
  return { openFiles, mappedFiles };
}

function list(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
