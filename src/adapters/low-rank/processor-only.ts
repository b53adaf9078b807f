/**
 * Decompositions are made in double precision, which only the processor has everywhere.
 */

import { UnsupportedError } from "../../core/errors.ts";
import type { DeviceName } from "../../engine/device.ts";

/** @throws {UnsupportedError} DEVICE_UNAVAILABLE for any other device */
export function assertProcessor(device: DeviceName = "auto"): void {
  if (device === "auto" || device === "cpu") return;
  throw new UnsupportedError("DEVICE_UNAVAILABLE", `device ${device} has no double precision, expected the processor`, {
    hint: "use --device cpu",
  });
}
