/**
 * What names stand for while a graph is walked: constants, and values of the graph that grows.
 */

import { FormatError } from "../../core/errors.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../call.ts";
import { Constant } from "./constant.ts";

/** A value that is known, or one that a node or an input of the new graph defines. */
export type Entry = Constant | Value;

export class Scope {
  readonly #entries = new Map<string, Entry>();
  readonly #outer: Scope | undefined;
  /** Stands before the names of what is defined here, so that bodies do not clash. */
  readonly prefix: string;

  constructor(outer?: Scope, prefix = "") {
    this.#outer = outer;
    this.prefix = prefix;
  }

  set(name: string, entry: Entry): void {
    this.#entries.set(name, entry);
  }

  /** @throws {FormatError} INVALID_MODEL when nothing that is visible here has this name */
  get(name: string): Entry {
    const entry = this.#entries.get(name) ?? this.#outer?.get(name);
    if (entry === undefined) throw new FormatError("INVALID_MODEL", "the graph has no such value", { subject: name });
    return entry;
  }
}

/** Constants as initialisers of the new graph, each when a node first uses it. */
export class Emitter {
  readonly #g: GraphBuilder;
  readonly #emitted = new Map<Constant, Value>();

  constructor(g: GraphBuilder) {
    this.#g = g;
  }

  emit(entry: Entry): Value {
    if (!(entry instanceof Constant)) return entry;
    const known = this.#emitted.get(entry);
    if (known !== undefined) return known;
    const value = this.#g.initialiser(entry.tensor);
    this.#emitted.set(entry, value);
    return value;
  }
}
