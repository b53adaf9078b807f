/**
 * Packing: several short rows in one sequence of bounded length, by best fit in order of falling length.
 *
 * Rows of a pack keep apart by their segments (`make-batch.ts`), so that packing changes the padding and not the gradient.
 */

/**
 * Rows of each pack, by number; the packs stand in the order of their longest row.
 *
 * @param lengths tokens of each row, at most `capacity`
 */
export function packRows(lengths: readonly number[], capacity: number): number[][] {
  const packs: number[][] = [];
  const rooms = new Rooms(capacity);
  const fallingOrder = lengths.map((_, row) => row).sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0) || a - b);
  for (const row of fallingOrder) {
    const length = lengths[row] ?? 0;
    const room = rooms.smallestFrom(length);
    const pack = room === undefined ? packs.push([]) - 1 : rooms.take(room);
    packs[pack]?.push(row);
    rooms.put(pack, (room ?? capacity) - length);
  }
  return packs;
}

/** Packs by the room that is left in them. */
class Rooms {
  readonly #packs: number[][];
  /** Bit r % 32 of word ⌊r / 32⌋ says whether a pack has exactly room r: a search looks at words, not at rooms. */
  readonly #present: Uint32Array;

  constructor(capacity: number) {
    this.#packs = Array.from({ length: capacity + 1 }, () => []);
    this.#present = new Uint32Array(Math.floor(capacity / 32) + 1);
  }

  /** The smallest room of at least `length` tokens that a pack has. */
  smallestFrom(length: number): number | undefined {
    let mask = -1 << (length % 32);
    for (let index = Math.floor(length / 32); index < this.#present.length; index++) {
      const word = (this.#present[index] ?? 0) & mask;
      // The lowest bit that is set: word & -word has it alone.
      if (word !== 0) return index * 32 + 31 - Math.clz32(word & -word);
      mask = -1;
    }
    return undefined;
  }

  put(pack: number, room: number): void {
    this.#packs[room]?.push(pack);
    this.#present[room >>> 5] = (this.#present[room >>> 5] ?? 0) | (1 << (room % 32));
  }

  /** Takes out the pack that came last among those with this room. */
  take(room: number): number {
    const packs = this.#packs[room] ?? [];
    const pack = packs.pop() ?? 0;
    if (packs.length === 0) this.#present[room >>> 5] = (this.#present[room >>> 5] ?? 0) & ~(1 << (room % 32));
    return pack;
  }
}
