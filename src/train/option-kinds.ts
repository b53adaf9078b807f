/**
 * What each option of `train` may hold, before its range is looked at.
 */

import { CONVENTIONS } from "../adapters/adapter.ts";
import { type OptionKinds, RUN_OPTION_KINDS } from "../core/option-kinds.ts";
import { DEVICES, ENGINES } from "../engine/device.ts";
import { INITIALISATIONS } from "./adapter/initialisations.ts";
import { OPTIMIZERS } from "./optimise/optimizer.ts";
import { SCHEDULERS } from "./optimise/schedule.ts";
import type { TrainOptions } from "./options.ts";

export const TRAIN_OPTION_KINDS: OptionKinds<TrainOptions> = {
  base: "required a text",
  data: "required a text",
  out: "required a text",
  rank: "a number",
  alpha: "a number",
  scaling: CONVENTIONS,
  targetModules: "a text or a list of texts",
  layers: "a list of numbers",
  rankPattern: "numbers by name",
  alphaPattern: "numbers by name",
  dropout: "a number",
  dora: "true or false",
  init: Object.keys(INITIALISATIONS),
  initAdapter: "a text",
  modulesToSave: "a list of texts",
  optimizer: OPTIMIZERS,
  lr: "a number",
  weightDecay: "a number",
  betas: "two numbers",
  eps: "a number",
  loraPlusRatio: "a number",
  scheduler: SCHEDULERS,
  schedulerArgs: "numbers and texts by name",
  warmupSteps: "a number",
  maxGradNorm: "a number",
  steps: "a number",
  epochs: "a number",
  batchSize: "a number",
  gradAccum: "a number",
  maxLength: "a number",
  packing: "true or false",
  splitTurns: "true or false",
  seed: "a number",
  shuffle: "true or false",
  evalData: "a text",
  evalEvery: "a number",
  earlyStopping: "a number",
  best: "true or false",
  saveEvery: "a number",
  keepCheckpoints: "a number",
  resume: "true or false",
  logEvery: "a number",
  checkpointBlocks: "true or false",
  logitRows: "a number",
  device: Object.keys(DEVICES),
  engine: Object.keys(ENGINES),
  threads: "a number",
  overwrite: "true or false",
  dryRun: "true or false",
  ...RUN_OPTION_KINDS,
  onEvent: "a function",
};
