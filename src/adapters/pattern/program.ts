/**
 * A syntax tree into a program for the matcher (Thompson's construction, in the form of Pike's virtual machine).
 *
 * Counted repetitions are written out, so the size of a program is capped; a match takes at most size · text length steps.
 */

import type { CharacterTest } from "./characters.ts";
import { fixedWidth, type Position, type Syntax } from "./syntax.ts";

type Instruction =
  | { readonly op: "character"; readonly test: CharacterTest; readonly cost: number }
  /** Tries `first` before `second`. */
  | { readonly op: "split"; first: number; second: number }
  | { readonly op: "jump"; readonly to: number }
  | PositionTest
  | { readonly op: "look"; readonly look: Look }
  /** Keeps the place where the group `idx` starts or ends. */
  | { readonly op: "save"; readonly end: boolean }
  | { readonly op: "match" };

export interface PositionTest {
  readonly op: "position";
  readonly position: Position;
  readonly ascii: boolean;
}

export interface Look {
  readonly program: Program;
  readonly negative: boolean;
  /** 0 for a look-ahead; how far a look-behind reaches back. */
  readonly width: number;
  readonly ahead: boolean;
}

export type Program = readonly Instruction[];

/** The one group whose text is read back. */
const CAPTURED_GROUP = "idx";

/** Instructions of one program. Real patterns need about 100. */
export const MAX_PROGRAM = 20_000;

/** Compiles a tree; `undefined` when it would exceed `MAX_PROGRAM` instructions. */
export function compileProgram(syntax: Syntax): Program | undefined {
  try {
    return compile(syntax);
  } catch (error) {
    if (error instanceof ProgramTooLarge) return undefined;
    throw error;
  }
}

class ProgramTooLarge extends Error {}

function compile(syntax: Syntax): Program {
  const program: Instruction[] = [];
  emit(program, syntax);
  push(program, { op: "match" });
  return program;
}

function emit(program: Instruction[], syntax: Syntax): void {
  switch (syntax.kind) {
    case "character":
      push(program, { op: "character", test: syntax.test, cost: syntax.cost });
      return;
    case "position":
      push(program, { op: "position", position: syntax.position, ascii: syntax.ascii });
      return;
    case "sequence":
      for (const item of syntax.items) emit(program, item);
      return;
    case "choice":
      emitChoice(program, syntax.options);
      return;
    case "repeat":
      emitRepeat(program, syntax);
      return;
    case "look": {
      const { ahead, negative, item } = syntax;
      const width = ahead ? 0 : (fixedWidth(item) ?? 0);
      push(program, { op: "look", look: { program: compile(item), ahead, negative, width } });
      return;
    }
    case "group":
      if (syntax.name !== CAPTURED_GROUP) {
        emit(program, syntax.item);
        return;
      }
      push(program, { op: "save", end: false });
      emit(program, syntax.item);
      push(program, { op: "save", end: true });
  }
}

function emitChoice(program: Instruction[], options: readonly Syntax[]): void {
  const jumps: { readonly op: "jump"; to: number }[] = [];
  for (const [index, option] of options.entries()) {
    if (index === options.length - 1) {
      emit(program, option);
      break;
    }
    const split = { op: "split" as const, first: program.length + 1, second: 0 };
    push(program, split);
    emit(program, option);
    const jump = { op: "jump" as const, to: 0 };
    push(program, jump);
    jumps.push(jump);
    split.second = program.length;
  }
  for (const jump of jumps) jump.to = program.length;
}

function emitRepeat(program: Instruction[], { item, min, max, lazy }: Syntax & { readonly kind: "repeat" }): void {
  for (let copy = 0; copy < min; copy++) {
    const before = program.length;
    emit(program, item);
    // Copies of nothing are nothing, however many are asked for.
    if (program.length === before) return;
  }
  const splits: { first: number; second: number }[] = [];
  const start = program.length;
  const optional = max === Number.POSITIVE_INFINITY ? 1 : max - min;
  for (let copy = 0; copy < optional; copy++) {
    const split = { op: "split" as const, first: program.length + 1, second: 0 };
    push(program, split);
    splits.push(split);
    emit(program, item);
  }
  if (max === Number.POSITIVE_INFINITY) push(program, { op: "jump", to: start });
  for (const split of splits) {
    split.second = program.length;
    if (lazy) [split.first, split.second] = [split.second, split.first];
  }
}

function push(program: Instruction[], instruction: Instruction): void {
  if (program.length >= MAX_PROGRAM) throw new ProgramTooLarge();
  program.push(instruction);
}
