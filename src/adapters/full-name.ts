/**
 * How reports and errors name what a module adapts.
 */

import type { AdapterModule } from "./adapter.ts";

/** The module, and the parameter inside of it where that is not its weight. */
export function fullName({ name, parameter }: Pick<AdapterModule, "name" | "parameter">): string {
  return parameter === undefined ? name : `${name}.${parameter}`;
}
