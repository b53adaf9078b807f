/**
 * What the writing of a merge needs to know of the output's format: where tensors go, what stands around them, and how the
 * files become complete, durable and public.
 */

import type { TensorData } from "../formats/tensor-store.ts";
import type { CopyJob } from "./jobs.ts";
import type { PlacedTensor } from "./output-layout.ts";

/** Everything that workers write: tensors to be made, and ranges of the base that pass through with them. */
export interface PlacedWork {
  readonly placed: readonly PlacedTensor[];
  readonly copies: readonly CopyJob[];
  /** Staged path of an output file by its name. */
  readonly pathOf: (file: string) => string;
}

export interface MergeOutput extends PlacedWork {
  /** The weights files with their final sizes. */
  readonly files: readonly { readonly name: string; readonly byteLength: number }[];
  /** Writes everything that workers do not, once the inputs' hashes are known. */
  readonly complete: (sha256: (path: string) => string) => void;
  /** Makes the files durable; reads may go on. */
  readonly flush: () => Promise<void>;
  /** The tensors as a reader finds them in the staged files. */
  readonly readBack: () => ReadonlyMap<string, TensorData>;
  readonly publish: (signal?: AbortSignal) => Promise<void>;
  readonly discard: () => void;
}

export interface OutputOptions {
  readonly out: string;
  readonly overwrite?: boolean | undefined;
  /** Tensor data in one weights file, in bytes or as `5GB`; default: the base's own files. */
  readonly maxShardSize?: number | string | undefined;
}
