/**
 * Collects everything that is wrong with an adapter, so that one error names it all.
 */

import { type MismatchCode, MismatchError } from "../../../core/errors.ts";
import { quote } from "../../../core/text.ts";

export class Problems {
  readonly #lines: string[] = [];
  readonly #codes = new Set<MismatchCode>();
  readonly #hints = new Set<string>();

  /** One misfit of a module or tensor; `problem` is finished and escaped. */
  add(code: MismatchCode, subject: string, problem: string, hint?: string): void {
    this.#codes.add(code);
    this.#lines.push(`${quote(subject)}: ${problem}`);
    if (hint !== undefined) this.#hints.add(hint);
  }

  /** @throws {MismatchError} with the gravest code when anything was added */
  throwIfAny(file: string): void {
    const code = BY_GRAVITY.find((candidate) => this.#codes.has(candidate));
    if (code === undefined) return;
    const count = this.#lines.length;
    const hint = [...this.#hints].join("; ");
    throw new MismatchError(
      code,
      `the adapter is not usable, ${count} ${count === 1 ? "problem" : "problems"}`,
      this.#lines,
      {
        file,
        ...(hint === "" ? {} : { hint }),
      },
    );
  }
}

const BY_GRAVITY = [
  "ADAPTER_MISMATCH",
  "ADAPTER_INCOMPLETE",
  "RANK_MISMATCH",
] as const satisfies readonly MismatchCode[];
