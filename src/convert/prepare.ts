/**
 * An adapter as every layout can write it: what its own layout left open is settled, by what is known of the base.
 */

import type { Adapter, AdapterModule, ExpertOrder } from "../adapters/adapter.ts";
import { saysTied } from "../adapters/architecture/tied-embedding.ts";
import type { WriteContext } from "../adapters/layouts/layout-writer.ts";
import { Misfit } from "../adapters/resolve/report.ts";
import { restoreHeads } from "../adapters/resolve/rotary-heads.ts";
import { MismatchError } from "../core/errors.ts";
import { quote } from "../core/text.ts";
import { withPipelineNames } from "./pipeline-modules.ts";

/** @throws {MismatchError} ADAPTER_MISMATCH naming the modules that need a base, or another one */
export function prepareAdapter(
  adapter: Adapter,
  { base, baseConfig }: WriteContext,
  expertOrder: ExpertOrder | undefined,
): Adapter {
  const named = withPipelineNames(adapter, base);
  const problems: string[] = [];
  const modules = named.modules.flatMap((module) => {
    try {
      return [restoreHeads(withOrder(module, expertOrder), baseConfig)];
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      problems.push(`${quote(module.name)}: ${error.message}`);
      return [];
    }
  });
  if (problems.length > 0) {
    throw new MismatchError("ADAPTER_MISMATCH", "more must be known of the base", problems, {
      file: adapter.path,
      hint: "pass --base with the folder of the base, whose config.json tells",
    });
  }
  const keepsTie = adapter.keepsTie && (baseConfig === undefined || saysTied(baseConfig));
  return { ...named, modules, keepsTie };
}

function withOrder(module: AdapterModule, order: ExpertOrder | undefined): AdapterModule {
  const { expertLayout } = module;
  if (order === undefined || expertLayout === undefined) return module;
  return { ...module, expertLayout: { ...expertLayout, order } };
}
