// @ts-check
/**
 * Runs targets for some time. Every outcome must be success or a typed error, soon and in little memory, with the
 * prototypes of the language untouched.
 */

import { LoraToolError } from "lora-tool";
import { Random } from "./random.js";

/** Longest time of one execution that only reads, with room for a machine that is busy. */
const MAX_SECONDS = 2;
const MAX_HEAP_GROWTH = 300e6;

/**
 * @typedef {object} Tally
 * @property {number} executions
 * @property {number} accepted
 * @property {Map<string, number>} refused by code of the error
 *
 * @typedef {object} Failure
 * @property {string} target
 * @property {number} seed of the execution: `--target <name> --only <seed>` repeats it
 * @property {string} what
 */

/**
 * @param {readonly import("./targets.js").Target[]} targets
 * @param {{ seconds: number, executions?: number, seed: number, onFailure?: (failure: Failure, target: import("./targets.js").Target) => void }} options
 * @returns {Promise<{ tallies: Map<string, Tally>, failures: Failure[], slowest: number }>}
 */
export async function fuzz(targets, { seconds, executions = Number.POSITIVE_INFINITY, seed, onFailure }) {
  const random = new Random(seed);
  const total = targets.reduce((sum, { weight }) => sum + weight, 0);
  /** @type {Map<string, Tally>} */
  const tallies = new Map(targets.map(({ name }) => [name, { executions: 0, accepted: 0, refused: new Map() }]));
  /** @type {Failure[]} */
  const failures = [];
  const prototypes = describePrototypes();
  let slowest = 0;
  let heapAtStart = 0;
  const end = performance.now() + 1000 * seconds;
  for (let execution = 0; performance.now() < end && execution < executions && failures.length < 20; execution++) {
    const target = pickTarget(targets, random.next() * total);
    if (target === undefined) break;
    const own = random.below(2 ** 32);
    const result = await runOnce(target, own);
    slowest = Math.max(slowest, result.seconds);
    const tally = tallies.get(target.name);
    if (tally !== undefined) count(tally, result.code);
    const fail = (/** @type {string} */ what) => {
      const failure = { target: target.name, seed: own, what };
      failures.push(failure);
      onFailure?.(failure, target);
    };
    if (result.escaped !== undefined) fail(`escaped: ${result.escaped}`);
    if (result.seconds > (target.maxSeconds ?? MAX_SECONDS)) fail(`took ${result.seconds.toFixed(1)} s`);
    if (describePrototypes() !== prototypes) {
      fail("changed a prototype of the language");
      break;
    }
    if (execution === 500) heapAtStart = process.memoryUsage().heapUsed;
    if (execution % 1000 === 999 && heapAtStart > 0 && process.memoryUsage().heapUsed - heapAtStart > MAX_HEAP_GROWTH) {
      fail("the heap grew without end");
    }
  }
  return { tallies, failures, slowest };
}

/**
 * The target in whose share a number lies.
 *
 * @param {readonly import("./targets.js").Target[]} targets
 * @param {number} ticket from 0 to below the sum of the weights
 */
function pickTarget(targets, ticket) {
  let end = 0;
  return targets.find(({ weight }) => {
    end += weight;
    return ticket < end;
  });
}

/**
 * One execution.
 *
 * @param {import("./targets.js").Target} target
 * @param {number} seed
 * @returns {Promise<{ code: string | undefined, escaped: string | undefined, seconds: number }>} `code` of a typed error
 */
export async function runOnce(target, seed) {
  const act = target.prepare(new Random(seed));
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  try {
    await act();
    return { code: undefined, escaped: undefined, seconds: seconds() };
  } catch (error) {
    if (error instanceof LoraToolError) return { code: error.code, escaped: problemOf(error), seconds: seconds() };
    return {
      code: "",
      escaped: error instanceof Error ? (error.stack ?? error.message) : String(error),
      seconds: seconds(),
    };
  }
}

/**
 * What is wrong with a typed error itself: text of the file that could steer a terminal, no file, no end.
 *
 * @param {LoraToolError} error
 */
function problemOf({ message, hint = "", code }) {
  if (/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/.test(message + hint))
    return `unescaped text: ${JSON.stringify(message)}`;
  if (message.length > 20_000) return `a message of ${message.length} characters`;
  if (code === "VERIFICATION_FAILED") return message;
  return undefined;
}

/** @param {Tally} tally @param {string | undefined} code */
function count(tally, code) {
  tally.executions++;
  if (code === undefined) tally.accepted++;
  else tally.refused.set(code, (tally.refused.get(code) ?? 0) + 1);
}

function describePrototypes() {
  return [Object.prototype, Array.prototype, Map.prototype]
    .map((prototype) => Object.getOwnPropertyNames(prototype).join())
    .join(";");
}
