/**
 * How the layouts are written: each plans its files from an `Adapter`, and says what the files cannot say.
 */

import type { JsonObject } from "../../core/json.ts";
import type { Model } from "../../formats/model.ts";
import type { Adapter } from "../adapter.ts";
import type { AdapterOutput } from "../output/write-files.ts";

export interface WriteContext {
  /** The model that the adapter is for, where the user named it. */
  readonly base: Model | undefined;
  /** config.json of the base: of the one named, else of the local folder that the adapter itself names. */
  readonly baseConfig: JsonObject | undefined;
}

export interface PlannedAdapter extends AdapterOutput {
  /** What was folded, renamed or could not be carried over; finished, escaped lines. */
  readonly notes: readonly string[];
}

/**
 * Plans the files from headers.
 *
 * @throws {UnsupportedError} UNSUPPORTED_ADAPTER for what the layout cannot express, with module and reason
 * @throws {MismatchError} where adapter and base do not fit together
 */
export type LayoutWriter = (adapter: Adapter, context: WriteContext) => PlannedAdapter;
