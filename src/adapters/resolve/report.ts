/**
 * What resolving one adapter finds out besides edits: misfits, tensors that were used, oddities. Misfits of one module
 * are thrown as `Misfit` inside this folder and collected here, so that one run names all of them.
 */

import { quote } from "../../core/text.ts";

/** One module or parameter cannot be placed. Never leaves `resolveAdapter`. */
export class Misfit extends Error {
  /** `unmatched`: the base has nothing of that name. */
  readonly kind: "problem" | "unmatched";

  constructor(kind: Misfit["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** A true misfit: shapes, ambiguity, what cannot be expressed. */
export function problem(message: string): Misfit {
  return new Misfit("problem", message);
}

export class Report {
  readonly problems: string[] = [];
  readonly unmatched: string[] = [];
  readonly warnings: string[] = [];
  readonly used = new Set<string>();
  /** Tensors of modules that a line above names. */
  readonly #named = new Set<string>();

  /** Runs `work` for a module or parameter; its tensors are used by the edits or named by the misfit. */
  collect(subject: string, tensors: readonly { readonly name: string }[], work: () => void): void {
    try {
      work();
      for (const { name } of tensors) this.used.add(name);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      for (const { name } of tensors) this.#named.add(name);
      (error.kind === "problem" ? this.problems : this.unmatched).push(`${quote(subject)}: ${error.message}`);
    }
  }

  /** Adds a line for each tensor that nothing above accounts for. */
  accountFor(names: Iterable<string>): void {
    for (const name of names) {
      if (!this.used.has(name) && !this.#named.has(name))
        this.problems.push(`${quote(name)}: no module or parameter uses it`);
    }
  }
}
