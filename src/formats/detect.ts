/**
 * What a file really is, from its first bytes: users meet Git-LFS pointers and web pages under the name of weights far
 * more often than damaged weights.
 */

import { FormatError } from "../core/errors.ts";
import { MAX_SAFETENSORS_HEADER_BYTES } from "../core/limits.ts";
import { escapeText } from "../core/text.ts";
import type { RandomAccess } from "./byte-source.ts";

/** First bytes that tell something; enough for a whole Git-LFS pointer. */
const DETECTION_BYTES = 512;

/** The bytes that tell what a file is; fewer where it has no more. */
export function readStart({ size, read }: RandomAccess): Uint8Array {
  const start = new Uint8Array(Math.min(DETECTION_BYTES, size));
  read(start, 0);
  return start;
}

interface LookAlike {
  readonly what: string;
  readonly hint: string;
  readonly matches: (bytes: Uint8Array, text: string) => boolean;
}

const startsWith =
  (...expected: number[]) =>
  (bytes: Uint8Array) =>
    expected.every((byte, at) => bytes[at] === byte);
const NEED_SAFETENSORS = "lora-tool reads safetensors; convert it with the tool that made it";
const NEVER_PICKLE = "pickle files can run code and are never opened: save as safetensors where the model was made";

const LOOK_ALIKES: readonly LookAlike[] = [
  {
    what: "a Git-LFS pointer, not the file itself",
    hint: "fetch the file: git lfs pull",
    matches: (_, text) => text.startsWith("version https://git-lfs"),
  },
  {
    what: "a web page",
    hint: "the download went wrong: it may need a login or an accepted licence",
    matches: (_, text) => /^\s*<(?:!doctype|html|\?xml)/i.test(text),
  },
  {
    what: "a JSON error message",
    hint: "the download went wrong: read the message in the file",
    matches: (_, text) => /^\s*\{\s*"(?:error|message|detail)"/.test(text),
  },
  {
    what: "a ZIP archive, as PyTorch writes for pickles",
    hint: NEVER_PICKLE,
    matches: startsWith(0x50, 0x4b, 0x03, 0x04),
  },
  {
    what: "a pickle",
    hint: NEVER_PICKLE,
    matches: ([first, protocol = 0]) => first === 0x80 && protocol >= 2 && protocol <= 5,
  },
  { what: "a GGUF file", hint: NEED_SAFETENSORS, matches: startsWith(0x47, 0x47, 0x55, 0x46) },
  { what: "a gzip archive", hint: "unpack it first", matches: startsWith(0x1f, 0x8b) },
  {
    what: "an HDF5 file",
    hint: NEED_SAFETENSORS,
    matches: startsWith(0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a),
  },
  // ir_version as field 1, then a string field or the graph: how every exporter starts.
  {
    what: "an ONNX model",
    hint: "give it a name that ends in .onnx",
    matches: (bytes) => bytes[0] === 0x08 && (bytes[1] ?? 0) <= 20 && [0x12, 0x1a, 0x22, 0x3a].includes(bytes[2] ?? 0),
  },
];

/**
 * Whether the bytes can start a safetensors file: a length within the limit, then JSON. Some lengths spell the magic
 * number of another format (640 is a pickle's, 559,903 that of gzip), so this goes first; no look-alike passes it.
 */
export function startsLikeSafetensors(bytes: Uint8Array): boolean {
  if (bytes.length < 9) return false;
  const lengthBytes = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  return lengthBytes <= BigInt(MAX_SAFETENSORS_HEADER_BYTES) && /[{ \t\n\r]/.test(String.fromCharCode(bytes[8] ?? 0));
}

/** @throws {FormatError} WRONG_FORMAT when the bytes are those of something else that is known */
export function assertNotLookAlike(bytes: Uint8Array, file: string): void {
  if (startsLikeSafetensors(bytes)) return;
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, DETECTION_BYTES));
  const found = LOOK_ALIKES.find((lookAlike) => lookAlike.matches(bytes, text));
  if (found === undefined) return;
  const oid = /oid (sha256:[0-9a-f]{12})/.exec(text)?.[1];
  const size = /size (\d{1,16})/.exec(text)?.[1];
  const pointer = oid === undefined ? "" : ` (${escapeText(oid)}…, ${size ?? "?"} bytes)`;
  throw new FormatError("WRONG_FORMAT", `is ${found.what}${pointer}`, { file, hint: found.hint });
}
