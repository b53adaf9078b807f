/**
 * The flags by which deltas are combined, shared by the commands that take several adapters.
 */

import { type Command, Option } from "commander";
import { MAJORITY_SIGNS } from "../merge/combine/method.ts";
import type { MethodOptions } from "../merge/combine/options.ts";
import { METHOD_NAMES, METHODS } from "../merge/combine/registry.ts";
import { parseSeed, parseShare } from "./options.ts";

export interface MethodFlags extends Omit<MethodOptions, "rank"> {
  readonly method: NonNullable<MethodOptions["method"]>;
}

export function addMethodOptions(command: Command): Command {
  return command
    .addOption(new Option("--method <name>", "how deltas are combined").choices(METHOD_NAMES).default("add"))
    .option(
      "--density <share>",
      "share of each delta that ties, dare and magnitude-prune keep (default: 0.5)",
      parseShare,
    )
    .addOption(
      new Option("--majority-sign <by>", "how ties and dare-ties elect signs (default: total)").choices(MAJORITY_SIGNS),
    )
    .option("--seed <n>", "of what dare drops (default: 0)", parseSeed);
}

/** A table of the methods for `--help`. */
export function methodHelp(): string {
  const width = Math.max(...METHOD_NAMES.map((name) => name.length));
  const lines = METHOD_NAMES.map((name) => {
    const { summary, paper } = METHODS[name];
    return `  ${name.padEnd(width)}  ${summary}${paper === undefined ? "" : ` (${paper})`}`;
  });
  return `\nMethods:\n${lines.join("\n")}\n`;
}
