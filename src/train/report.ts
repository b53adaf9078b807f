/**
 * What `train` returns and `--json` prints.
 */

import type { Convention } from "../adapters/adapter.ts";
import type { DeviceInfo } from "../engine/device.ts";
import type { Advice } from "./advice.ts";
import type { DataSummary } from "./data/prepare.ts";
import type { MemoryEstimate } from "./step/estimate-memory.ts";

export interface TrainedModuleReport {
  readonly name: string;
  readonly rank: number;
  readonly alpha: number;
  /** The multiplier of up · down that training uses and the adapter has. */
  readonly scale: number;
  readonly parameters: number;
}

export interface TrainResult {
  /** Steps done, those before a resumption too. */
  readonly steps: number;
  /** The step that the run went on from; `undefined` for one that started anew. */
  readonly resumedFrom: number | undefined;
  /** Of the first step of this run; `undefined` when there was none to do. */
  readonly firstLoss: number | undefined;
  /** Of its last step. */
  readonly loss: number | undefined;
  readonly evalLoss: number | undefined;
  readonly best: { readonly step: number; readonly loss: number } | undefined;
  /** The step whose adapter was written. */
  readonly writtenStep: number;
  readonly seconds: number;
  /** Scored tokens by the time of the steps of this run; `undefined` when there was none to do. */
  readonly tokensPerSecond: number | undefined;
  /** Reached in the fastest step, in 10¹² operations a second. */
  readonly teraflops: number;
  readonly device: DeviceInfo;
  readonly files: readonly string[];
}

export interface TrainReport {
  readonly out: string;
  readonly base: string;
  readonly data: DataSummary;
  readonly evalData: DataSummary | undefined;
  readonly convention: Convention;
  readonly method: string;
  readonly modules: readonly TrainedModuleReport[];
  /** Modules of the base that are trained whole, with their weights' names. */
  readonly savedWeights: readonly string[];
  readonly trainable: number;
  /** Elements of the base. */
  readonly baseElements: number;
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
  /** What rank, alpha, convention and optimiser do to the first step, and the learning rates that suit. */
  readonly advice: Advice;
  readonly warnings: readonly string[];
  /** Only of a dry run. */
  readonly memory?: MemoryEstimate;
  readonly result?: TrainResult;
}
