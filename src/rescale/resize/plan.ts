/**
 * What becomes of each module under a new rank: cut, or left as it is.
 */

import type { Adapter, AdapterModule } from "../../adapters/adapter.ts";
import { fullName } from "../../adapters/full-name.ts";
import type { CutJob } from "../../adapters/low-rank/cut.ts";
import { factorDtype } from "../../adapters/low-rank/factor-dtype.ts";
import { type ModuleFactors, moduleFactors } from "../../adapters/low-rank/module-factors.ts";
import { UnsupportedError } from "../../core/errors.ts";
import type { ResizeOptions } from "./options.ts";

export interface PlannedModule {
  readonly module: AdapterModule;
  /** `undefined`: its rank is low enough, its factors stay bit for bit. */
  readonly cut: Omit<CutJob, "place"> | undefined;
  readonly inputShape: ModuleFactors["inputShape"];
}

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER naming what no other rank can express */
export function planResize(adapter: Adapter, options: ResizeOptions): PlannedModule[] {
  if (adapter.modules.length === 0) {
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", "has no factors, so there is no rank to change", {
      file: adapter.path,
    });
  }
  return adapter.modules.map((module) => planModule(adapter, module, options));
}

function planModule(adapter: Adapter, module: AdapterModule, options: ResizeOptions): PlannedModule {
  const { delta, rank, name, residual } = module;
  if (residual !== undefined) {
    throw new UnsupportedError(
      "UNSUPPORTED_ADAPTER",
      `${residual} takes as many directions out of the base as the rank, which must stay`,
      {
        file: adapter.path,
        subject: name,
        hint: "merge it into its base, then extract an adapter from the two models",
      },
    );
  }
  if (module.interleavedHeads !== undefined) {
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", "its rows are in llama.cpp's order, which only the base undoes", {
      file: adapter.path,
      subject: name,
      hint: "lora-tool convert --base <model> --to peft puts them in order",
    });
  }
  const { products, outputs, inputs, inputShape } = moduleFactors(module, "resizing", options.expertOrder);
  const { dtype = "keep", energy } = options;
  const target = { rank: Math.min(options.rank ?? rank, rank), energy };
  const dtypes = {
    up: factorDtype(dtype, delta.kind === "lora" ? [delta.up] : []),
    down: factorDtype(dtype, delta.kind === "lora" ? [delta.down] : []),
  };
  const stays = energy === undefined && target.rank === rank && dtype === "keep";
  const sums = products.map((product) => [{ ...product, weight: 1 }]);
  const about = { name: fullName(module), file: adapter.path, experts: sums.length, outputs, inputs };
  return { module, cut: stays ? undefined : { kind: "cut", ...about, sums, target, dtypes }, inputShape };
}
