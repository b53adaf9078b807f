/**
 * Tensors that lie in the output as and where they lie in a file that is read. The system copies that file as a start, at a
 * fraction of what its bytes cost on their way through this process, and only the other tensors are written.
 */

import { tensorBytes } from "../../core/dtype.ts";
import { withFile } from "../../formats/byte-source.ts";
import { wholeSource } from "./tensor-pieces.ts";
import type { PlacedTensor } from "./write-placed.ts";

export interface CopiedTensors {
  /** The file to start from. */
  readonly file: string;
  readonly tensors: ReadonlySet<PlacedTensor>;
}

/** The share of both files that the tensors must make up: copying what is then overwritten has a price, too. */
const LEAST_SHARE = 1 / 4;

/**
 * @param size of the output, in bytes
 * @returns `undefined` where no copy pays
 */
export function findCopied(entries: readonly PlacedTensor[], size: number): CopiedTensors | undefined {
  const byFile = new Map<string, Set<PlacedTensor>>();
  for (const entry of entries) {
    const file = copiedFrom(entry);
    if (file !== undefined) byFile.set(file, (byFile.get(file) ?? new Set()).add(entry));
  }
  const pays = ([file, tensors]: [string, ReadonlySet<PlacedTensor>]) => {
    const bytes = [...tensors].reduce((sum, { tensor }) => sum + tensorBytes(tensor), 0);
    const fileSize = withFile(file, ({ identity }) => identity.size);
    return bytes >= LEAST_SHARE * Math.max(size, fileSize);
  };
  const found = [...byFile].find(pays);
  return found && { file: found[0], tensors: found[1] };
}

/** The file that holds these bytes at this offset. */
function copiedFrom({ tensor, offset }: PlacedTensor): string | undefined {
  const { factor, view } = wholeSource(tensor) ?? {};
  const source = view?.tensor.source;
  return factor === 1 && source?.kind === "file" && source.offset === offset ? source.path : undefined;
}
