/**
 * The devices that can be asked for, what runs them, and what `auto` means. Nothing here touches a device.
 *
 * `auto` never guesses: a device is taken only when it is known to be a GPU, otherwise the processor. Merging is bound by
 * memory and disk traffic, so its `auto` is the processor at once; training is bound by arithmetic and looks for a GPU.
 */

/** What `--device` takes, with one line for people. */
export const DEVICES = {
  auto: "the processor; for training a GPU where there surely is one",
  cpu: "the processor",
  webgpu: "a GPU through Vulkan, Metal or Direct3D 12",
  cuda: "an NVIDIA GPU on Linux x64, with the CUDA files of ONNX Runtime installed",
  coreml: "Apple's Core ML, which itself picks processor, GPU or Neural Engine",
  dml: "a GPU through DirectML on Windows",
} as const;

export type DeviceName = keyof typeof DEVICES;
export type Device = Exclude<DeviceName, "auto">;

/** What `--engine` takes, with one line for people. */
export const ENGINES = {
  onnxruntime: "ONNX Runtime, on every device",
  tfjs: "TensorFlow.js, where its packages are installed: on the processor, or by tfjs-node-gpu under cuda",
} as const;

export type EngineName = keyof typeof ENGINES;

/** What the engine is opened for; decides what `auto` tries. */
export type Purpose = "merge" | "train";

/** What is really computing. */
export interface DeviceInfo {
  readonly device: Device;
  /** `software`: a GPU interface drawn by the processor. `unknown`: the system does not tell which of them it is. */
  readonly type: "cpu" | "gpu" | "software" | "unknown";
  /** As the system names it, unescaped; `undefined` when it does not tell. */
  readonly adapterName: string | undefined;
}

/** Platforms (`process.platform/process.arch`) whose onnxruntime-node 1.30 can run the device; `undefined`: wherever it loads. */
export const DEVICE_PLATFORMS: Readonly<Record<Device, readonly string[] | undefined>> = {
  cpu: undefined,
  webgpu: ["linux/x64", "darwin/arm64", "darwin/x64", "win32/x64", "win32/arm64"],
  cuda: ["linux/x64"],
  coreml: ["darwin/arm64", "darwin/x64"],
  dml: ["win32/x64", "win32/arm64"],
};

const AUTO_ORDER: Readonly<Record<Purpose, readonly Device[]>> = {
  merge: ["cpu"],
  train: ["cuda", "webgpu", "cpu"],
};

/** Whether the device can exist on a platform, given as `process.platform/process.arch`. */
export function runsOn(device: Device, platform: string): boolean {
  return DEVICE_PLATFORMS[device]?.includes(platform) ?? true;
}

/** What `auto` tries, best first; the last one is always the processor. */
export function autoDevices(purpose: Purpose, platform: string): readonly Device[] {
  return AUTO_ORDER[purpose].filter((device) => runsOn(device, platform));
}

/** Whether `auto` may settle on a device that was opened: the processor, or what is known to be a GPU. */
export function autoAccepts(info: DeviceInfo): boolean {
  return info.type === "cpu" || info.type === "gpu";
}
