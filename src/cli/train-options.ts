/**
 * The flags of training, which `train` and `sweep` share, and how their values are read.
 */

import { type Command, InvalidArgumentError, Option } from "commander";
import { INITIALISATIONS } from "../train/adapter/initialisations.ts";
import { OPTIMIZERS } from "../train/optimise/optimizer.ts";
import { SCHEDULERS } from "../train/optimise/schedule.ts";
import type { TrainOptions } from "../train/options.ts";
import { deviceOption, engineOption, parseAlpha, parseCount } from "./options.ts";

/** Flags of one run, but for where its results go. */
export type TrainingFlags = Omit<TrainOptions, "out" | "signal" | "onProgress" | "onEvent" | "overwrite" | "dryRun">;

/** What is trained and from what it starts. */
export function addAdapterOptions(command: Command): Command {
  return command
    .option("--target-modules <names>", "all-linear, names with commas, or a regular expression (default: all-linear)")
    .option("--layers <list>", "adapt these blocks only: 0,2,10-15", parseRanges)
    .option("--rank-pattern <pattern=rank>", "another rank for some modules; may be repeated", collectNumbers)
    .option("--alpha-pattern <pattern=alpha>", "another alpha for some modules; may be repeated", collectNumbers)
    .option("--modules-to-save <names>", "modules to train whole, with commas", parseNames)
    .option("--dropout <p>", "share of inputs of adapters that a step leaves out (default: 0)", parseNumber)
    .option("--dora", "DoRA: magnitudes of the outputs are trained apart")
    .addOption(
      new Option("--init <name>", "what adapters start from (default: default)").choices(Object.keys(INITIALISATIONS)),
    );
}

/** Optimiser, schedule, data and how long. */
export function addTrainingOptions(command: Command): Command {
  return command
    .requiredOption("--base <path>", "the model: HF folder, weights file or .onnx file")
    .requiredOption("--data <file>", ".jsonl, .json or .txt")
    .addOption(new Option("--optimizer <name>", "what steps (default: adamw)").choices(OPTIMIZERS))
    .option("--weight-decay <x>", "decoupled weight decay (default: 0)", parseNumber)
    .option("--betas <b1,b2>", "AdamW's decay rates (default: 0.9,0.999)", parseBetas)
    .option("--eps <x>", "AdamW's epsilon (default: 1e-8)", parseNumber)
    .option("--lora-plus-ratio <x>", "LoRA+: times the learning rate for lora_B (default: 1)", parseAlpha)
    .addOption(new Option("--scheduler <name>", "course of the learning rate (default: constant)").choices(SCHEDULERS))
    .option("--scheduler-args <key=value>", "arguments of the scheduler, with commas: min_lr=1e-6", parseArguments)
    .option(
      "--warmup-steps <n>",
      "steps that the learning rate rises over; below 1 a share of all (default: 0)",
      parseNumber,
    )
    .option("--max-grad-norm <x>", "clip gradients to this norm; 0: never (default: 1)", parseNumber)
    .option("--steps <n>", "optimiser steps", parseCount)
    .option("--epochs <n>", "passes over the data (default: 3)", parseAlpha)
    .option("--batch-size <n>", "rows of a micro-batch (default: 8)", parseCount)
    .option("--grad-accum <n>", "micro-batches of a step (default: 1)", parseCount)
    .option("--max-length <n>", "tokens of a row; the rest is cut off (default: 1024)", parseCount)
    .option("--packing", "put several rows into one sequence, where they do not see each other")
    .option(
      "--split-turns",
      "make each turn of the assistant a row of its own, with what comes before it as its prompt",
    )
    .option("--no-shuffle", "take rows in their order")
    .option("--eval-data <file>", "rows to measure the loss on")
    .option("--eval-every <n>", "steps between evaluations (default: an epoch)", parseCount)
    .option("--checkpoint-blocks", "less memory, more time: compute blocks again on the way back")
    .option("--logit-rows <n>", "rows of logits that exist at a time (default: 128 to 1024, by vocabulary)", parseCount)
    .addOption(deviceOption())
    .addOption(engineOption())
    .option("--threads <n>", "threads of the processor (default: one a core)", parseCount);
}

/** Any number; which ones are right is up to the option. */
export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("expected a number");
  return value;
}

function parseNames(text: string): string[] {
  return text.split(",").flatMap((name) => name.trim() || []);
}

function parseBetas(text: string): [number, number] {
  const [first, second, more] = text.split(",").map(parseNumber);
  if (first === undefined || second === undefined || more !== undefined) {
    throw new InvalidArgumentError("expected two numbers, such as 0.9,0.999");
  }
  return [first, second];
}

/** `0,2,10-15` */
function parseRanges(text: string): number[] {
  return text.split(",").flatMap((part) => {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part.trim());
    const [first, last] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
    if (match === null || last < first || last >= 100_000) {
      throw new InvalidArgumentError("expected indices and ranges, such as 0,2,10-15");
    }
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/** The pattern may hold `=`, the number cannot. */
function collectNumbers(text: string, before: Record<string, number> = {}): Record<string, number> {
  const entries = text.split(/,(?=[^,]*=)/).map((entry): [string, number] => {
    const at = entry.lastIndexOf("=");
    if (at <= 0) throw new InvalidArgumentError("expected pattern=number, such as q_proj=16");
    return [entry.slice(0, at), parseAlpha(entry.slice(at + 1))];
  });
  return { ...before, ...Object.fromEntries(entries) };
}

function parseArguments(text: string, before: Record<string, string> = {}): Record<string, string> {
  const entries = parseNames(text).map((entry): [string, string] => {
    const at = entry.indexOf("=");
    if (at <= 0) throw new InvalidArgumentError("expected key=value, such as min_lr_rate=0.1");
    return [entry.slice(0, at), entry.slice(at + 1)];
  });
  return { ...before, ...Object.fromEntries(entries) };
}
