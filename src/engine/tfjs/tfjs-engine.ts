/**
 * The second engine: graphs run by TensorFlow.js, where its packages are installed.
 *
 * It computes in f32, i32 and bool, one node after the other. Its backend in plain JavaScript shares no code with ONNX Runtime,
 * so that results and gradients of one check those of the other.
 */

import type { DeviceName } from "../device.ts";
import type { Engine } from "../engine.ts";
import { openBackend, type TfjsPackage } from "./backend.ts";
import { TfjsProgram } from "./program.ts";

/** @throws {UnsupportedError} DEVICE_UNAVAILABLE when TensorFlow.js is not installed for the device */
export async function openTfjs(deviceName: DeviceName, packages?: readonly TfjsPackage[]): Promise<Engine> {
  const { tf, device } = await openBackend(deviceName, packages);
  const programs = new Set<TfjsProgram>();
  return {
    device,
    keepsF16: false,
    compile: async (graph) => {
      const program = new TfjsProgram(tf, graph);
      programs.add(program);
      return program;
    },
    close: async () => {
      for (const program of programs) await program.close();
      programs.clear();
    },
  };
}
