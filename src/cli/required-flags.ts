/**
 * Flags that a command cannot do without: in its usage line, and asked for last.
 */

import type { Command, Option } from "commander";
import { UsageError } from "../core/errors.ts";

/**
 * Puts the command's mandatory options into its usage and checks them after everything else. commander's own check comes
 * before the one for unknown options: it would miss `--base` where `--bsae` was typed, and not say what is unknown.
 */
export function checkRequiredFlagsLast(command: Command): void {
  const required = command.options.filter((option) => option.mandatory);
  for (const option of required) option.makeOptionMandatory(false);
  const positional = command.usage().replace(/^\[options\] ?/, "");
  command.usage([positional, ...required.map(shortForm), "[options]"].filter(Boolean).join(" "));
  command.hook("preAction", () => {
    const missing = required.filter((option) => command.getOptionValue(option.attributeName()) === undefined);
    if (missing.length === 0) return;
    throw new UsageError(`expected ${missing.map(({ flags }) => flags).join(" and ")}`, {
      hint: `lora-tool ${command.name()} --help shows all flags`,
    });
  });
}

/** `-o <path>` */
function shortForm({ short, long, flags }: Option): string {
  return `${short ?? long} ${flags.slice(flags.indexOf("<"))}`;
}
