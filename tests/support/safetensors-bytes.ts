/** Builds safetensors files byte by byte, right ones and wrong ones. */

/** A file whose header is this text, followed by this many bytes of data. */
export function fileOf(header: string | Uint8Array, dataBytes = 0, declaredLength?: bigint): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + json.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, declaredLength ?? BigInt(json.length), true);
  file.set(json, 8);
  for (let index = 0; index < dataBytes; index++) file[8 + json.length + index] = index % 251;
  return file;
}

/** One entry of a header. */
export function entry(dtype: string, shape: readonly number[], begin: number, end: number): object {
  return { dtype, shape, data_offsets: [begin, end] };
}
