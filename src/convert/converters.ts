/**
 * What `convert` can write, and what writes it.
 */

import { peftWriter } from "../adapters/layouts/peft/write.ts";
import { convertAdapter } from "./convert-adapter.ts";
import type { ConvertOptions, ConvertTarget } from "./options.ts";
import type { ConvertReport } from "./report.ts";

export const CONVERTERS: Record<ConvertTarget, (options: ConvertOptions) => Promise<ConvertReport>> = {
  peft: (options) => convertAdapter(options, { layout: "peft", format: undefined, plan: peftWriter }),
};
