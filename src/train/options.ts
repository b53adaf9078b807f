/**
 * What a caller may ask of `train`, and what holds where nothing is asked for.
 */

import type { Convention } from "../adapters/adapter.ts";
import type { OnProgress } from "../core/progress.ts";
import type { DeviceName, EngineName } from "../engine/device.ts";
import type { InitialisationName } from "./adapter/initialisations.ts";
import type { OptimizerName } from "./optimise/optimizer.ts";
import type { Scheduler } from "./optimise/schedule.ts";
import type { SchedulerArguments } from "./optimise/schedule-arguments.ts";
import type { TrainEvent } from "./run/events.ts";

export interface TrainOptions {
  /** A Hugging Face folder, its weights, or an `.onnx` file. */
  readonly base: string;
  /** Rows of text or tokens: `.jsonl`, `.json` or `.txt`. */
  readonly data: string;
  /** The folder to write. */
  readonly out: string;

  /** Default 8. */
  readonly rank?: number | undefined;
  /** Default 16. */
  readonly alpha?: number | undefined;
  /** `lora` (default): scale = alpha / rank; `rslora`: alpha / √rank. */
  readonly scaling?: Convention | undefined;
  /** `all-linear` (default: every linear layer but the output head), names, or one Python regular expression. */
  readonly targetModules?: string | readonly string[] | undefined;
  /** Indices of the blocks that are adapted; default all. */
  readonly layers?: readonly number[] | undefined;
  /** Python regular expressions for ends of module names → another rank there. */
  readonly rankPattern?: Readonly<Record<string, number>> | undefined;
  /** The same for alpha. */
  readonly alphaPattern?: Readonly<Record<string, number>> | undefined;
  /** Share of the adapters' inputs that a step leaves out; default 0. */
  readonly dropout?: number | undefined;
  /** Trains the magnitudes of the outputs apart (DoRA); default false. */
  readonly dora?: boolean | undefined;
  /** What adapters start from; `default` draws down and leaves up at 0. */
  readonly init?: InitialisationName | undefined;
  /** A PEFT folder whose weights, rank, alpha, patterns, convention and targets are taken unless told otherwise. */
  readonly initAdapter?: string | undefined;
  /** Modules that are trained whole and saved with the adapter, by the ends of their names; default none. */
  readonly modulesToSave?: readonly string[] | undefined;

  /** Default `adamw`. */
  readonly optimizer?: OptimizerName | undefined;
  /** Learning rate; default 2e-4. */
  readonly lr?: number | undefined;
  /** Decoupled under AdamW; norms and biases do not decay; default 0. */
  readonly weightDecay?: number | undefined;
  /** AdamW's decay rates of the two moments; default [0.9, 0.999]. */
  readonly betas?: readonly [number, number] | undefined;
  /** AdamW's ε; default 1e-8. */
  readonly eps?: number | undefined;
  /** LoRA+: how much larger the learning rate of `up` is; default 1. */
  readonly loraPlusRatio?: number | undefined;
  /** By transformers' names; default `constant`. */
  readonly scheduler?: Scheduler | undefined;
  /** What transformers calls `lr_scheduler_kwargs`. */
  readonly schedulerArgs?: SchedulerArguments | undefined;
  /** Steps over which the learning rate rises from 0; below 1 a share of all steps; default 0. */
  readonly warmupSteps?: number | undefined;
  /** Largest norm of all gradients as one vector; 0: they are not clipped; default 1. */
  readonly maxGradNorm?: number | undefined;

  /** Optimiser steps in all; excludes `epochs`. */
  readonly steps?: number | undefined;
  /** Passes over the data, parts of one too; default 3. */
  readonly epochs?: number | undefined;
  /** Rows of a micro-batch; default 8. */
  readonly batchSize?: number | undefined;
  /** Micro-batches of a step; default 1. */
  readonly gradAccum?: number | undefined;
  /** Tokens of a row, the rest of which is cut off; default 1024. */
  readonly maxLength?: number | undefined;
  /** Puts several rows into one sequence, where they do not see each other; default false. */
  readonly packing?: boolean | undefined;
  /** Each turn of the assistant becomes a row of its own, with what comes before it as its prompt; default false. */
  readonly splitTurns?: boolean | undefined;
  /** Of everything drawn at random; default 42. */
  readonly seed?: number | undefined;
  /** Another order of rows in each epoch; default true. */
  readonly shuffle?: boolean | undefined;

  /** Rows to measure the loss on, like `data`. */
  readonly evalData?: string | undefined;
  /** Steps between evaluations; default an epoch. */
  readonly evalEvery?: number | undefined;
  /** Stop after so many evaluations without a better loss. */
  readonly earlyStopping?: number | undefined;
  /** Write the adapter of the best evaluation, not of the last step; on with `earlyStopping`. */
  readonly best?: boolean | undefined;
  /** Steps between checkpoints; none without it. */
  readonly saveEvery?: number | undefined;
  /** Checkpoints to keep, besides that of the best evaluation; default all. */
  readonly keepCheckpoints?: number | undefined;
  /** Goes on from the newest whole checkpoint under `out`, to the same total of steps; default false. */
  readonly resume?: boolean | undefined;
  /** Steps between lines of metrics.jsonl; default 1. */
  readonly logEvery?: number | undefined;

  /** Keep one value a block for the way back and compute the others again: less memory, a third more time. */
  readonly checkpointBlocks?: boolean | undefined;
  /** Rows of logits that exist at a time; default from 1024 down to 128 with the size of the vocabulary. */
  readonly logitRows?: number | undefined;
  /** Default `auto`: a GPU where there surely is one, else the processor. */
  readonly device?: DeviceName | undefined;
  /** Default `onnxruntime`. */
  readonly engine?: EngineName | undefined;
  /** Of the processor; default one a core. */
  readonly threads?: number | undefined;
  /** Replaces what an earlier run left in `out`; default false. */
  readonly overwrite?: boolean | undefined;
  /** Plan only. */
  readonly dryRun?: boolean | undefined;
  /** Saves a checkpoint and ends with `InterruptedError`. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** Every step, evaluation and checkpoint. */
  readonly onEvent?: ((event: TrainEvent) => void) | undefined;
}
