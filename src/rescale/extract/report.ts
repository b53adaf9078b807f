/**
 * What `extract` tells its caller: the object that `--json` prints and that the command line words.
 */

import type { LayerKind } from "../../adapters/adapter.ts";
import type { Shape } from "../../core/shape.ts";

export interface ExtractedModule {
  readonly name: string;
  readonly kind: LayerKind;
  /** Of one expert for stacked experts. */
  readonly rank: number;
  readonly alpha: number;
  readonly scale: number;
  /** ‖factors − difference‖ / ‖difference‖, Frobenius norms, the rounding to the dtype counted. */
  readonly error: number;
}

export interface ExtractReport {
  readonly out: string;
  readonly base: string;
  readonly tuned: string;
  readonly modules: readonly ExtractedModule[];
  /** Parameters that are replaced as a whole: norms, biases, resized embeddings. */
  readonly overrides: readonly { readonly name: string; readonly shape: Shape }[];
  /** Tensors that are the same in both models. */
  readonly unchanged: number;
  /** The same as of one module, over all of them. */
  readonly error: number;
  readonly warnings: readonly string[];
  /** The rest is there once something was written. */
  readonly result?: {
    readonly bytes: number;
    readonly seconds: number;
    readonly files: readonly string[];
  };
}
