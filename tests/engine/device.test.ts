import { describe, expect, it } from "vitest";
import { identifyDevice, identifyVulkan } from "../../src/engine/adapter-identity.ts";
import { autoAccepts, autoDevices, type DeviceInfo } from "../../src/engine/device.ts";

describe("what auto tries", () => {
  it.each([
    ["merge", "linux/x64", ["cpu"]],
    ["merge", "darwin/arm64", ["cpu"]],
    ["train", "linux/x64", ["cuda", "webgpu", "cpu"]],
    ["train", "linux/arm64", ["cpu"]],
    ["train", "darwin/arm64", ["webgpu", "cpu"]],
    ["train", "freebsd/x64", ["cpu"]],
  ] as const)("for %s on %s is %j", (purpose, platform, devices) => {
    expect(autoDevices(purpose, platform)).toEqual(devices);
  });

  it.each([
    ["cpu", true],
    ["gpu", true],
    ["software", false],
    ["unknown", false],
  ] as const)("settles on type %s: %s", (type, accepted) => {
    const info: DeviceInfo = { device: "webgpu", type, adapterName: undefined };
    expect(autoAccepts(info)).toBe(accepted);
  });
});

describe("what a WebGPU adapter on Linux is", () => {
  const drivers = {
    swiftshader: "/usr/lib/chromium/libvk_swiftshader.so",
    lavapipe: "/usr/lib/x86_64-linux-gnu/libvulkan_lvp.so",
    radeon: "/usr/lib/x86_64-linux-gnu/libvulkan_radeon.so",
  };

  it.each([
    ["SwiftShader", ["/dev/null"], [drivers.swiftshader], "software", "SwiftShader"],
    ["llvmpipe", ["/dev/null", "/dev/pts/0"], [drivers.lavapipe], "software", "llvmpipe"],
    ["a GPU's driver without its device file", ["/dev/null"], [drivers.radeon], "software", undefined],
    [
      "a GPU beside llvmpipe",
      ["/dev/dri/renderD128"],
      [drivers.radeon, drivers.lavapipe],
      "gpu",
      "/dev/dri/renderD128",
    ],
    ["an NVIDIA GPU", ["/dev/nvidiactl", "/dev/nvidia0"], [], "gpu", "/dev/nvidia0"],
    ["a screen without a GPU", ["/dev/dri/card0"], [drivers.lavapipe], "software", "llvmpipe"],
    ["a process that cannot look at itself", [], [], "unknown", undefined],
  ] as const)("is told for %s", (_title, openFiles, mappedFiles, type, adapterName) => {
    expect(identifyVulkan({ openFiles, mappedFiles })).toEqual({ device: "webgpu", type, adapterName });
  });

  it("is unknown where the system does not tell", () => {
    expect(identifyDevice("webgpu", "win32").type).toBe("unknown");
    expect(identifyDevice("dml", "win32").type).toBe("unknown");
  });
});
