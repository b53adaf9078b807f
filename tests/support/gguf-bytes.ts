/** Builds GGUF files byte by byte, right ones and wrong ones. */

/** Little-endian fields one after the other. */
export class GgufBytes {
  readonly #parts: Uint8Array[] = [];

  u8(value: number): this {
    return this.raw(new Uint8Array([value]));
  }

  u32(value: number): this {
    return this.#number(4, (view) => view.setUint32(0, value, true));
  }

  u64(value: bigint | number): this {
    return this.#number(8, (view) => view.setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true));
  }

  f32(value: number): this {
    return this.#number(4, (view) => view.setFloat32(0, value, true));
  }

  text(value: string, length?: bigint): this {
    const bytes = new TextEncoder().encode(value);
    return this.u64(length ?? BigInt(bytes.length)).raw(bytes);
  }

  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }

  zeros(count: number): this {
    return this.raw(new Uint8Array(count));
  }

  /** Zeros up to a multiple of `alignment`. */
  pad(alignment: number): this {
    const length = this.bytes().length;
    return this.zeros(Math.ceil(length / alignment) * alignment - length);
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#parts);
  }

  #number(size: number, set: (view: DataView) => void): this {
    const bytes = new Uint8Array(size);
    set(new DataView(bytes.buffer));
    return this.raw(bytes);
  }
}

/** Magic, version and counts. */
export function ggufStart(tensors: bigint | number, pairs: bigint | number, version = 3): GgufBytes {
  return new GgufBytes().raw(new TextEncoder().encode("GGUF")).u32(version).u64(tensors).u64(pairs);
}

export interface GgufInfo {
  readonly name: string;
  /** Innermost first, as the file has them. */
  readonly dims?: readonly (bigint | number)[];
  readonly type?: number;
  readonly offset?: bigint | number;
}

/** A file of these tensors (f32 [4], one after the other, unless told otherwise) and this much data. */
export function ggufFile(infos: readonly GgufInfo[], dataBytes: number, alignment?: number): Uint8Array {
  const file = ggufStart(infos.length, alignment === undefined ? 0 : 1);
  if (alignment !== undefined) file.text("general.alignment").u32(4).u32(alignment);
  for (const [index, { name, dims = [4], type = 0, offset = index * 32 }] of infos.entries()) {
    file.text(name).u32(dims.length);
    for (const dim of dims) file.u64(dim);
    file.u32(type).u64(offset);
  }
  return file
    .pad(alignment ?? 32)
    .zeros(dataBytes)
    .bytes();
}
