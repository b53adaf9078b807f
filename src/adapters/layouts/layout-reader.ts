/**
 * How the layouts plug in: each recognises its own files and reads them into an `Adapter`.
 */

import type { JsonObject } from "../../core/json.ts";
import type { FileIdentity, TensorStore } from "../../formats/tensor-store.ts";
import type { Adapter, ExpertOrder } from "../adapter.ts";

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

export interface AdapterOptions {
  /** How the columns of `up` of stacked experts are ordered; PEFT's rank-major unless told, for files do not say. */
  readonly expertOrder?: ExpertOrder;
}

export interface LayoutReader {
  /** Whether the files are of this layout; looks at names only. */
  readonly detect: (files: AdapterFiles) => boolean;
  readonly read: (files: AdapterFiles, options: AdapterOptions) => Adapter;
}
