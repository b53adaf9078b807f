/**
 * How an adapter of each layout is written again, with other factors.
 */

import type { Adapter, Layout } from "../../adapters/adapter.ts";
import type { PlannedAdapter } from "../../adapters/layouts/layout-writer.ts";
import { mlxWriter } from "../../adapters/layouts/mlx/write.ts";
import { carriedSettings } from "../../adapters/layouts/peft/carried-settings.ts";
import { planPeft } from "../../adapters/layouts/peft/write.ts";
import { UnsupportedError } from "../../core/errors.ts";
import type { FormatName } from "../../formats/registry.ts";
import { planKohya } from "./kohya.ts";

interface ResizeTarget {
  /** Of the single file; `undefined`: a folder. */
  readonly format: FormatName | undefined;
  /**
   * @param resized with the new factors
   * @param before as it was read
   */
  readonly plan: (resized: Adapter, before: Adapter) => PlannedAdapter;
}

const TARGETS: Readonly<Record<Layout, ResizeTarget | undefined>> = {
  peft: {
    format: undefined,
    plan: (resized) => ({ ...planPeft(resized, { settings: carriedSettings(resized) }), notes: [] }),
  },
  mlx: { format: undefined, plan: (resized) => mlxWriter(resized, { base: undefined, baseConfig: undefined }) },
  kohya: { format: "safetensors", plan: planKohya },
  diffusers: undefined,
  gguf: undefined,
  "onnx-adapter": undefined,
};

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER for layouts whose names or settings depend on more than the factors */
export function targetOf({ layout, path }: Adapter): ResizeTarget {
  const target = TARGETS[layout];
  if (target !== undefined) return target;
  throw new UnsupportedError("UNSUPPORTED_ADAPTER", `adapters of ${layout}'s layout are not resized as they are`, {
    file: path,
    hint: "lora-tool convert --to peft makes one that can be, and converts it back",
  });
}
