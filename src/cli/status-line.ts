/**
 * One line of a terminal that is drawn over again, and taken off before anything else is said.
 */

import type { Io } from "./io.ts";

const REDRAW_MS = 80;
const BAR_WIDTH = 20;
const ERASE = "\r\u001b[K";

export class StatusLine {
  readonly #io: Io;
  #drawnAt = 0;
  #isDrawn = false;
  #isLast = false;

  constructor(io: Io) {
    this.#io = io;
  }

  /** @param isLast drawn however soon it comes, once, because nothing may follow that would tell the end */
  draw(line: () => string, isLast: boolean): void {
    const now = performance.now();
    const tellsEnd = isLast && !this.#isLast;
    if (now - this.#drawnAt < REDRAW_MS && !tellsEnd) return;
    this.#drawnAt = now;
    this.#isLast = isLast;
    this.#isDrawn = true;
    // A line that wraps cannot be taken back.
    const columns = (this.#io.stderr as Partial<NodeJS.WriteStream>).columns || 80;
    this.#io.stderr.write(ERASE + line().slice(0, columns - 1));
  }

  clear(): void {
    if (this.#isDrawn) this.#io.stderr.write(ERASE);
    this.#isDrawn = false;
  }
}

/** A share from 0 to 1 as a bar. */
export function drawBar(share: number): string {
  const filled = Math.round(share * BAR_WIDTH);
  return "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled);
}
