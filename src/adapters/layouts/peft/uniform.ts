/**
 * What one setting of PEFT says for all modules: that they have magnitudes, biases of their own, or changed the base.
 */

import { UnsupportedError } from "../../../core/errors.ts";
import { quote, summarise } from "../../../core/text.ts";
import type { AdapterModule } from "../../adapter.ts";

/** @throws {UnsupportedError} UNSUPPORTED_ADAPTER naming the modules that lack what others have */
export function assertUniform(modules: readonly AdapterModule[]): void {
  for (const [key, what] of [
    ["magnitude", "a DoRA magnitude"],
    ["bias", "a bias of its own"],
    ["residual", "an initialisation that changed the base"],
  ] as const) {
    const without = modules.filter((module) => module[key] === undefined);
    if (without.length === 0 || without.length === modules.length) continue;
    const names = summarise(without.map(({ name }) => quote(name)));
    const problem = `PEFT gives ${what} to all modules or to none, here ${names} have none`;
    throw new UnsupportedError("UNSUPPORTED_ADAPTER", problem, {});
  }
}
