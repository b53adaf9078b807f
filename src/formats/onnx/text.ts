/**
 * Text of an ONNX file ⇄ its bytes, without loss: protobuf promises UTF-8, and files break the promise.
 *
 * A byte 0xNN that is not part of valid UTF-8 becomes the lone surrogate U+DCNN (Python's `surrogateescape`, PEP 383):
 * names that differ in bytes stay different, printing escapes them, and encoding gives the same bytes again.
 */

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ESCAPED_BYTE = /(?<![\ud800-\udbff])[\udc80-\udcff]/;

/** Any bytes as text. */
export function decodeText(bytes: Uint8Array): string {
  try {
    return STRICT.decode(bytes);
  } catch {
    return decodeEscaped(bytes);
  }
}

/** The bytes that `decodeText` turns into this text. */
export function encodeText(text: string): Uint8Array {
  if (!ESCAPED_BYTE.test(text)) return new TextEncoder().encode(text);
  const parts = text.split(new RegExp(`(${ESCAPED_BYTE.source})`));
  return Buffer.concat(
    parts.map((part, index) => (index % 2 === 1 ? Uint8Array.of(part.charCodeAt(0) & 0xff) : Buffer.from(part))),
  );
}

/** Whether a text holds bytes that are not UTF-8. */
export function hasEscapedBytes(text: string): boolean {
  return ESCAPED_BYTE.test(text);
}

function decodeEscaped(bytes: Uint8Array): string {
  const parts: string[] = [];
  let valid = 0;
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length > 0) at += length;
    else {
      parts.push(STRICT.decode(bytes.subarray(valid, at)), String.fromCharCode(0xdc00 + (bytes[at] ?? 0)));
      valid = ++at;
    }
  }
  parts.push(STRICT.decode(bytes.subarray(valid)));
  return parts.join("");
}

/** Bytes of the valid UTF-8 sequence at a place (Unicode 15, table 3-7), or 0. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return 1;
  const length =
    lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  const second = bytes[at + 1] ?? 0;
  // Overlong forms, surrogates and code points above U+10FFFF show in the second byte.
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  for (let index = 2; index < length; index++) if (((bytes[at + index] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}
