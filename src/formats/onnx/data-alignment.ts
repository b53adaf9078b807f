/**
 * Which tensors lie in data files and where they start there: at multiples of 4,096 bytes, those above 1 MiB at multiples
 * of 65,536 (pages of POSIX and of Windows; onnx docs/ExternalData.md).
 */

/** Smaller tensors are not worth a place of their own (onnx's default for external data). */
export const MIN_EXTERNAL_BYTES = 1_024;

const PAGE_BYTES = 4_096;
const LARGE_TENSOR_BYTES = 1024 * 1024;
const LARGE_ALIGNMENT_BYTES = 65_536;

/** The first place from `end` on for a tensor of so many bytes. */
export function alignedOffset(end: number, byteLength: number): number {
  const alignment = byteLength > LARGE_TENSOR_BYTES ? LARGE_ALIGNMENT_BYTES : PAGE_BYTES;
  return Math.ceil(end / alignment) * alignment;
}
