/** Which trained tensors decay: those that do under transformers' Trainer. */

import { describe, expect, it } from "vitest";
import type { Part } from "../../../src/train/adapter/parts.ts";
import { weightDecayOf } from "../../../src/train/optimise/groups.ts";
import { resolveSettings } from "../../../src/train/settings.ts";

const { optimiser } = resolveSettings({ base: "base", data: "data", out: "out", weightDecay: 0.1 });

const decayOf = (module: string, part: Part | "whole", shape: readonly number[], suffix = ".weight"): number =>
  weightDecayOf(
    { name: part === "whole" ? `${module}${suffix}` : `${module}/${part}`, module, part, shape },
    optimiser,
  );

describe("weight decay", () => {
  it("holds for adapters, DoRA's magnitudes among them, and for matrices that are trained whole", () => {
    expect(decayOf("model.layers.0.mlp.up_proj", "up", [8, 2])).toBe(0.1);
    expect(decayOf("model.layers.0.mlp.up_proj", "magnitude", [8])).toBe(0.1);
    expect(decayOf("lm_head", "whole", [20, 8])).toBe(0.1);
  });

  it("leaves out norms, whatever they are called, and biases", () => {
    expect(decayOf("model.norm", "whole", [8])).toBe(0);
    expect(decayOf("transformer.ln_f", "whole", [8])).toBe(0);
    expect(decayOf("transformer.h.0.attn.c_proj", "whole", [8], ".bias")).toBe(0);
  });
});
