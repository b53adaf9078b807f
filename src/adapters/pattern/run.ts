/**
 * Runs a program over a text: all alternatives at once, in the order of their priority, one character at a time (Pike,
 * "The Text Editor sam", 1987). No input makes it take more than size · length steps, and all of them are counted.
 */

import { isWord } from "./characters.ts";
import type { Look, PositionTest, Program } from "./program.ts";

/** Steps that may still be taken; shared by all patterns of an adapter. */
export interface StepBudget {
  remaining: number;
}

/** Thrown when the budget is spent. */
export class OutOfSteps extends Error {}

export interface Match {
  /** Text of the group `idx`, where it took part. */
  readonly captured: string | undefined;
}

/** What one match shares with the look-arounds inside it. */
interface Session {
  /** Code points. */
  readonly text: readonly number[];
  readonly budget: StepBudget;
  /** Results of look-arounds by place: 0 not tried, 1 holds, 2 does not. */
  readonly looks: Map<Look, Uint8Array>;
}

/**
 * Threads of one place, the one with the highest priority first: three numbers each, its instruction and where the group
 * `idx` starts and ends (−1: nowhere).
 */
type Threads = number[];

/** The match of the same priority as that of Python's `re.match`; with `whole`, only one that ends where the text ends. */
export function run(program: Program, text: string, whole: boolean, budget: StepBudget): Match | undefined {
  const characters = [...text];
  const session = { text: characters.map((character) => character.codePointAt(0) ?? 0), budget, looks: new Map() };
  const found = search(program, session, 0, whole ? characters.length : undefined);
  if (found === undefined) return undefined;
  const [start, end] = found;
  return { captured: end < 0 ? undefined : characters.slice(start, end).join("") };
}

/** Where the group `idx` of the match from `start` on starts and ends; with `end`, of a match that ends there. */
function search(
  program: Program,
  session: Session,
  start: number,
  end: number | undefined,
): readonly [number, number] | undefined {
  const marks = new Int32Array(program.length).fill(-1);
  let found: readonly [number, number] | undefined;
  let threads: Threads = [];
  follow(program, session, threads, marks, start, [0, -1, -1]);
  for (let place = start; threads.length > 0; place++) {
    const next: Threads = [];
    const codePoint = session.text[place];
    for (let index = 0; index < threads.length; index += 3) {
      const [at = 0, captureStart = -1, captureEnd = -1] = [threads[index], threads[index + 1], threads[index + 2]];
      const instruction = program[at];
      if (instruction?.op === "match") {
        if (end !== undefined && place !== end) continue;
        found = [captureStart, captureEnd];
        // Threads behind this one have a lower priority.
        break;
      }
      if (instruction?.op !== "character" || codePoint === undefined) continue;
      spend(session.budget, instruction.cost);
      if (instruction.test(codePoint)) {
        follow(program, session, next, marks, place + 1, [at + 1, captureStart, captureEnd]);
      }
    }
    threads = next;
  }
  return found;
}

/** Adds what a thread becomes before it reads a character; each instruction once at a place. `stack` holds the thread. */
function follow(
  program: Program,
  session: Session,
  threads: Threads,
  marks: Int32Array,
  place: number,
  stack: Threads,
): void {
  while (stack.length > 0) {
    const captureEnd = stack.pop() ?? -1;
    const captureStart = stack.pop() ?? -1;
    const at = stack.pop() ?? 0;
    if (marks[at] === place) continue;
    marks[at] = place;
    spend(session.budget, 1);
    const instruction = program[at];
    switch (instruction?.op) {
      case "split":
        stack.push(instruction.second, captureStart, captureEnd, instruction.first, captureStart, captureEnd);
        break;
      case "jump":
        stack.push(instruction.to, captureStart, captureEnd);
        break;
      case "save":
        if (instruction.end) stack.push(at + 1, captureStart, place);
        else stack.push(at + 1, place, -1);
        break;
      case "position":
        if (holds(instruction, session.text, place)) stack.push(at + 1, captureStart, captureEnd);
        break;
      case "look":
        if (looks(instruction.look, session, place)) stack.push(at + 1, captureStart, captureEnd);
        break;
      default:
        threads.push(at, captureStart, captureEnd);
    }
  }
}

/** Whether a look-around holds at a place; tried once there, so that nesting does not multiply the work. */
function looks(look: Look, session: Session, place: number): boolean {
  let results = session.looks.get(look);
  if (results === undefined) {
    results = new Uint8Array(session.text.length + 1);
    session.looks.set(look, results);
  }
  if (results[place] === 0) {
    const from = place - look.width;
    const found = from >= 0 && search(look.program, session, from, look.ahead ? undefined : place) !== undefined;
    results[place] = found === look.negative ? 2 : 1;
  }
  return results[place] === 1;
}

function holds({ position, ascii }: PositionTest, text: readonly number[], place: number): boolean {
  const atEnd = place === text.length;
  switch (position) {
    case "text-start":
      return place === 0;
    case "line-start":
      return place === 0 || text[place - 1] === LINE_FEED;
    case "text-end":
      return atEnd;
    case "text-end-or-newline":
      return atEnd || (place === text.length - 1 && text[place] === LINE_FEED);
    case "line-end":
      return atEnd || text[place] === LINE_FEED;
    case "word-boundary":
      return text.length > 0 && isWordAt(text, place - 1, ascii) !== isWordAt(text, place, ascii);
    case "not-word-boundary":
      // Up to Python 3.13 neither \b nor \B holds in an empty text.
      return text.length > 0 && isWordAt(text, place - 1, ascii) === isWordAt(text, place, ascii);
  }
}

function isWordAt(text: readonly number[], place: number, ascii: boolean): boolean {
  const codePoint = text[place];
  return codePoint !== undefined && isWord(codePoint, ascii);
}

function spend(budget: StepBudget, steps: number): void {
  budget.remaining -= steps;
  if (budget.remaining < 0) throw new OutOfSteps();
}

const LINE_FEED = 0x0a;
