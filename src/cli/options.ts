/**
 * Flags that several commands share, and how their values are read.
 */

import { type Command, InvalidArgumentError, Option } from "commander";
import { EXPERT_ORDERS } from "../adapters/adapter.ts";
import { FACTOR_DTYPES } from "../adapters/low-rank/factor-dtype.ts";
import { byteSize } from "../core/byte-size.ts";
import { UsageError } from "../core/errors.ts";
import type { Part } from "../core/part.ts";
import { quote } from "../core/text.ts";
import { DEVICES, ENGINES } from "../engine/device.ts";

export interface CommonFlags {
  readonly json?: true;
  readonly quiet?: true;
}

export interface OutputFlags extends CommonFlags {
  readonly out: string;
  readonly overwrite?: true;
  readonly dryRun?: true;
}

const REPLACE_HELP = "replace what is there; it stays until the new one is complete";
const DRY_RUN_HELP = "print the plan and write nothing";

/** The flags of a command that writes nothing. Those about writing are taken, so that scripts pass them to any command. */
export function addReadingOptions(command: Command, dryRunHelp: string): Command {
  return addCommonOptions(command)
    .option("--overwrite", "taken as by every command; nothing is written")
    .option("--dry-run", dryRunHelp);
}

function addCommonOptions(command: Command): Command {
  return command
    .option("--json", "print one JSON report on stdout and nothing else there")
    .option("--quiet", "print results and errors only");
}

/** The flags of a command that writes. */
export function addOutputOptions(command: Command, overwriteHelp = REPLACE_HELP): Command {
  return addCommonOptions(command)
    .requiredOption("-o, --out <path>", "where the result goes")
    .option("--overwrite", overwriteHelp)
    .option("--dry-run", DRY_RUN_HELP);
}

export function deviceOption(): Option {
  return new Option("--device <name>", "where the products are computed").choices(Object.keys(DEVICES)).default("auto");
}

export function engineOption(): Option {
  return new Option("--engine <name>", "what computes them").choices(Object.keys(ENGINES)).default("onnxruntime");
}

export function expertOrderOption(): Option {
  return new Option(
    "--expert-order <order>",
    "order of stacked experts in lora_B, where PEFT did not write it",
  ).choices(EXPERT_ORDERS);
}

export function factorDtypeOption(): Option {
  return new Option("--dtype <dtype>", "dtype of the new factors").choices(FACTOR_DTYPES).default("keep");
}

export function workersOption(): Option {
  return new Option("--workers <n>", "threads (default: one a core, at most 8)").argParser(parseCount);
}

/** `--map module=tensor`, as often as there are names to settle. */
export function mapOption(): Option {
  return new Option(
    "--map <module=tensor>",
    "tensor or ONNX initialiser of the base that a module of the adapter means; repeatable",
  ).argParser(parseMapping);
}

function parseMapping(text: string, earlier: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf("=");
  const [module, tensor] = [text.slice(0, at), text.slice(at + 1)];
  if (at < 1 || tensor === "") throw new InvalidArgumentError("expected module=tensor");
  if (Object.hasOwn(earlier, module)) throw new InvalidArgumentError(`${quote(module)} was mapped before`);
  return Object.assign(Object.create(null), earlier, { [module]: tensor });
}

/** `5GB` is 5·10⁹ bytes, `5GiB` 5·2³⁰. */
export function parseSize(text: string): number {
  const bytes = byteSize(text);
  if (bytes === undefined) throw new InvalidArgumentError("expected a size such as 5GB or 512MiB");
  return bytes;
}

/** A whole number of at least 1. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError("expected a whole number of at least 1");
  }
  return value;
}

/** A whole number of at least 0. */
export function parseSeed(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError("expected a whole number of at least 0");
}

/** A number above 0. */
export function parseAlpha(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError("expected a number above 0");
  }
  return value;
}

/** A share above 0 and up to 1. */
export function parseShare(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0 && value <= 1)) {
    throw new InvalidArgumentError("expected a number above 0 and up to 1");
  }
  return value;
}

/** `2/8`: the second of eight parts. */
export function parsePart(text: string): Part {
  const match = /^(\d+)\/(\d+)$/.exec(text);
  const [index, count] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || index < 1 || index > count || count > 10_000) {
    throw new InvalidArgumentError("expected i/n with 1 ≤ i ≤ n, such as 2/8");
  }
  return { index, count };
}

/** `path` or `path=weight`; a path that holds `=` needs the weight written out. */
export function parseWeightedAdapter(text: string): { readonly path: string; readonly weight: number } {
  const match = /^(.+)=([^=/\\]*)$/s.exec(text);
  if (match === null) return { path: text, weight: 1 };
  const weight = Number(match[2]);
  if (match[2]?.trim() === "" || !Number.isFinite(weight)) {
    throw new UsageError(`expected a number behind "=", got ${quote(match[2] ?? "")}`, { subject: text });
  }
  return { path: match[1] ?? text, weight };
}
