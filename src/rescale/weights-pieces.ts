/**
 * The bytes of the new weights file, piece by piece: a header and then each tensor, multiplied and padded on the way.
 * Memory is that of one piece.
 */

import { addRounding, type Multiply, multiplier, NO_ROUNDING, type Rounding } from "../adapters/output/multiply.ts";
import { isFloatDtype } from "../core/dtype.ts";
import { NonFiniteError } from "../core/errors.ts";
import { readTensorRangeSync } from "../formats/byte-source.ts";
import { encodeHeader } from "../formats/safetensors/writer.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import type { OutputTensor } from "./output-tensors.ts";

/** A multiple of every element's size. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** Multipliers kept, half a megabyte each: neighbouring tensors mostly share a few factors. */
const MAX_MULTIPLIERS = 16;

export class WeightsPieces {
  /** What became of the tensors that were multiplied, by name; complete once all pieces have been taken. */
  readonly roundings: Map<string, Rounding> = new Map();
  readonly #multipliers = new Map<string, Multiply>();
  readonly #buffer = new Uint8Array(PIECE_BYTES);
  readonly #padded = new Uint8Array(PIECE_BYTES);
  readonly #file: string;

  /** @param file how errors name the weights */
  constructor(file: string) {
    this.#file = file;
  }

  /**
   * Header and tensors, in the order given. The pieces share memory.
   *
   * @throws {NonFiniteError} when a product is not finite
   */
  *of(tensors: readonly OutputTensor[], metadata: ReadonlyMap<string, string>): Generator<Uint8Array> {
    yield encodeHeader(tensors, metadata);
    for (const tensor of tensors) yield* this.#tensor(tensor);
  }

  *#tensor(tensor: OutputTensor): Generator<Uint8Array> {
    const { source, padding } = tensor;
    if (padding === undefined) {
      yield* this.#multiplied(tensor, 0, source.byteLength, this.#buffer);
      return;
    }
    const { blockBytes, padBytes } = padding;
    const stride = blockBytes + padBytes;
    const blocksAtOnce = Math.floor(PIECE_BYTES / stride);
    if (blocksAtOnce > 0) {
      const input = this.#buffer.subarray(0, blocksAtOnce * blockBytes);
      for (const piece of this.#multiplied(tensor, 0, source.byteLength, input)) {
        const output = this.#padded.subarray(0, (piece.length / blockBytes) * stride).fill(0);
        for (let at = 0, to = 0; at < piece.length; at += blockBytes, to += stride) {
          output.set(piece.subarray(at, at + blockBytes), to);
        }
        yield output;
      }
      return;
    }
    for (let start = 0; start < source.byteLength; start += blockBytes) {
      yield* this.#multiplied(tensor, start, blockBytes, this.#buffer);
      this.#padded.fill(0);
      for (let left = padBytes; left > 0; left -= PIECE_BYTES) {
        yield this.#padded.subarray(0, Math.min(left, PIECE_BYTES));
      }
    }
  }

  *#multiplied(tensor: OutputTensor, start: number, length: number, buffer: Uint8Array): Generator<Uint8Array> {
    const { source, factor } = tensor;
    if (factor === 1) {
      yield* rangePieces(source, start, length, buffer);
      return;
    }
    const multiply = this.#multiplierOf(tensor);
    for (const piece of rangePieces(source, start, length, buffer)) {
      const rounding = multiply(piece);
      if (rounding.nonFinite > 0) {
        throw new NonFiniteError(`${rounding.nonFinite} elements times ${factor} are not finite in ${tensor.dtype}`, {
          file: this.#file,
          subject: tensor.name,
          hint: "the scale cannot be folded into this dtype; rescale without --bake and --alpha leaves the weights alone",
        });
      }
      this.roundings.set(tensor.name, addRounding(this.roundings.get(tensor.name) ?? NO_ROUNDING, rounding));
      yield piece;
    }
  }

  #multiplierOf({ dtype, factor, name }: OutputTensor): Multiply {
    if (!isFloatDtype(dtype)) throw new RangeError(`${name} is ${dtype}, which the reader of factors refuses`);
    const key = `${dtype} ${factor}`;
    const known = this.#multipliers.get(key);
    if (known !== undefined) return known;
    if (this.#multipliers.size >= MAX_MULTIPLIERS) this.#multipliers.clear();
    const made = multiplier(dtype, factor);
    this.#multipliers.set(key, made);
    return made;
  }
}

/** Bytes `start` … `start + length` of a tensor, in pieces as long as the buffer. */
function* rangePieces(tensor: TensorData, start: number, length: number, buffer: Uint8Array): Generator<Uint8Array> {
  for (let done = 0; done < length; done += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, length - done));
    readTensorRangeSync(tensor, start + done, piece);
    yield piece;
  }
}
