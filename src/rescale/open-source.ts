/**
 * The adapter to rescale: what it means, and the text and tensors that the output is made from.
 */

import { openAdapter } from "../adapters/open-adapter.ts";
import { decodeUtf8 } from "../core/json-parser.ts";
import { MAX_CONFIG_BYTES } from "../core/limits.ts";
import { readSmallFile } from "../formats/byte-source.ts";
import { openStore } from "../formats/registry.ts";
import type { RescaleSource } from "./layouts/rescaler.ts";

/** Opens an adapter of any layout. @throws typed errors, as a merge would for the same file */
export async function openSource(path: string): Promise<RescaleSource> {
  const adapter = await openAdapter(path);
  const [weights, settings] = adapter.files;
  if (weights === undefined) throw new TypeError("an adapter has weights");
  const text = settings && decodeUtf8(readSmallFile(settings.path, MAX_CONFIG_BYTES).bytes, settings.path);
  return {
    adapter,
    store: openStore(weights.path),
    settings: settings && { path: settings.path, text: text ?? "" },
  };
}
