/**
 * How the layouts plug in: each recognises its own files and reads them into an `Adapter`.
 */

import type { JsonObject } from "../../core/json.ts";
import type { FileIdentity, TensorStore } from "../../formats/tensor-store.ts";
import type { Adapter } from "../adapter.ts";

/** The settings file of an adapter, parsed. */
export interface SettingsFile {
  readonly path: string;
  readonly values: JsonObject;
  readonly identity: FileIdentity;
}

/** The files of an adapter, before their layout is known. */
export interface AdapterFiles {
  /** What the user named. */
  readonly path: string;
  readonly store: TensorStore;
  /** adapter_config.json of the folder or beside the weights; `undefined` when there is none. */
  readonly settings: SettingsFile | undefined;
}

/** What an adapter has besides modules, where the files of a layout hold factors and nothing else. */
export const FACTORS_ONLY = { overrides: [], tokenRows: [], keepsTie: false, fanInFanOut: false } as const;

export interface LayoutReader {
  /** Whether the files are of this layout; looks at names only. */
  readonly detect: (files: AdapterFiles) => boolean;
  readonly read: (files: AdapterFiles) => Adapter;
}
