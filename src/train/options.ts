/**
 * What a caller may ask of `train`, the defaults, and which wishes go together.
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
  /** A Hugging Face folder or its weights. */
  readonly base: string;
  /** `.jsonl`, `.json` or `.txt`. */
  readonly data: string;
  /** The folder to write. */
  readonly out: string;

  readonly rank?: number | undefined;
  readonly alpha?: number | undefined;
  /** `lora`: scale = alpha / rank; `rslora`: alpha / √rank. */
  readonly scaling?: Convention | undefined;
  /** `all-linear`, names, or one Python regular expression. */
  readonly targetModules?: string | readonly string[] | undefined;
  /** Indices of the blocks that are adapted. */
  readonly layers?: readonly number[] | undefined;
  readonly rankPattern?: Readonly<Record<string, number>> | undefined;
  readonly alphaPattern?: Readonly<Record<string, number>> | undefined;
  readonly dropout?: number | undefined;
  readonly dora?: boolean | undefined;
  readonly init?: InitialisationName | undefined;
  /** A PEFT folder whose weights, rank, alpha, patterns, convention and targets are taken unless told otherwise. */
  readonly initAdapter?: string | undefined;
  /** Modules that are trained whole and saved with the adapter. */
  readonly modulesToSave?: readonly string[] | undefined;

  readonly optimizer?: OptimizerName | undefined;
  readonly lr?: number | undefined;
  readonly weightDecay?: number | undefined;
  readonly betas?: readonly [number, number] | undefined;
  readonly eps?: number | undefined;
  /** LoRA+: how much larger the learning rate of `up` is. */
  readonly loraPlusRatio?: number | undefined;
  readonly scheduler?: Scheduler | undefined;
  readonly schedulerArgs?: SchedulerArguments | undefined;
  /** Below 1: a share of all steps. */
  readonly warmupSteps?: number | undefined;
  /** 0: gradients are not clipped. */
  readonly maxGradNorm?: number | undefined;

  readonly steps?: number | undefined;
  readonly epochs?: number | undefined;
  readonly batchSize?: number | undefined;
  readonly gradAccum?: number | undefined;
  readonly maxLength?: number | undefined;
  readonly packing?: boolean | undefined;
  /** Each turn of the assistant becomes a row of its own, with what comes before it as its prompt. */
  readonly splitTurns?: boolean | undefined;
  readonly seed?: number | undefined;
  readonly shuffle?: boolean | undefined;

  readonly evalData?: string | undefined;
  readonly evalEvery?: number | undefined;
  /** Stop after so many evaluations without a better loss. */
  readonly earlyStopping?: number | undefined;
  /** Write the adapter of the best evaluation, not of the last step; on with `earlyStopping`. */
  readonly best?: boolean | undefined;
  readonly saveEvery?: number | undefined;
  /** Checkpoints to keep, besides that of the best evaluation. */
  readonly keepCheckpoints?: number | undefined;
  readonly resume?: boolean | undefined;
  readonly logEvery?: number | undefined;

  /** Keep one value a block for the way back and compute the others again: less memory, a third more time. */
  readonly checkpointBlocks?: boolean | undefined;
  /** Rows of logits that exist at a time. */
  readonly logitRows?: number | undefined;
  readonly device?: DeviceName | undefined;
  readonly engine?: EngineName | undefined;
  readonly threads?: number | undefined;
  readonly overwrite?: boolean | undefined;
  /** Plan only. */
  readonly dryRun?: boolean | undefined;
  /** Saves a checkpoint and ends with `InterruptedError`. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** Every step, evaluation and checkpoint. */
  readonly onEvent?: ((event: TrainEvent) => void) | undefined;
}
