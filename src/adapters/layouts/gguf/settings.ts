/**
 * What the key-value pairs of a GGUF adapter say about its tensors.
 */

import { FormatError, UnsupportedError } from "../../../core/errors.ts";
import { quote } from "../../../core/text.ts";
import { GGUF_ARCHITECTURES } from "./names.ts";

export interface GgufSettings {
  /** One of `GGUF_ARCHITECTURES`. */
  readonly architecture: string;
  /** 0 when the file has none. */
  readonly alpha: number;
}

/** @throws {UnsupportedError | FormatError} for adapters of other kinds */
export function readGgufSettings(metadata: ReadonlyMap<string, string>, file: string): GgufSettings {
  const type = metadata.get("adapter.type");
  if (type !== "lora") throw unsupported("adapter.type", `expected "lora", got ${shown(type)}`, file);
  if (metadata.has("adapter.alora.invocation_tokens")) {
    const reason = "activated LoRA works from an invocation in the text on, it has no merged weights";
    throw unsupported("adapter.alora.invocation_tokens", reason, file);
  }
  const architecture = metadata.get("general.architecture");
  if (architecture === undefined || !GGUF_ARCHITECTURES.includes(architecture)) {
    const problem = `expected one of ${GGUF_ARCHITECTURES.join(", ")}, got ${shown(architecture)}`;
    throw unsupported("general.architecture", problem, file);
  }
  const alpha = Number(metadata.get("adapter.lora.alpha") ?? 0);
  if (Number.isFinite(alpha)) return { architecture, alpha };
  throw new FormatError("INVALID_METADATA", `expected a finite number, got ${alpha}`, {
    file,
    subject: "adapter.lora.alpha",
  });
}

function unsupported(subject: string, problem: string, file: string): UnsupportedError {
  return new UnsupportedError("UNSUPPORTED_ADAPTER", problem, { file, subject });
}

function shown(text: string | undefined): string {
  return text === undefined ? "nothing" : quote(text);
}
