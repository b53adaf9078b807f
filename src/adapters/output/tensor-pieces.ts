/**
 * The bytes of tensors to be written, piece by piece: rectangles of stored tensors read by range, turned, multiplied and
 * put in their places. Memory is that of a piece and of what a turned rectangle needs at once.
 */

import { createKernels, type Kernels } from "../../core/cast/kernels.ts";
import { DTYPE_BITS, type Dtype, type FloatDtype, isFloatDtype, tensorBytes } from "../../core/dtype.ts";
import { NonFiniteError } from "../../core/errors.ts";
import { readTensorRangeSync } from "../../formats/byte-source.ts";
import { placeOf, type TensorData } from "../../formats/tensor-store.ts";
import { floatDtypeOf } from "../load-matrix.ts";
import { type MatrixView, sliceRows } from "../matrix.ts";
import { addRounding, type Multiply, multiplier, NO_ROUNDING, type Rounding } from "./multiply.ts";
import type { Block, OutputTensor } from "./output-tensor.ts";
import { elementsOf, readElements } from "./read-elements.ts";

/** A multiple of every element's size. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** Multipliers kept, half a megabyte each: neighbouring tensors mostly share a few factors. */
const MAX_MULTIPLIERS = 16;

export class TensorPieces {
  /** What became of the tensors that were multiplied, by name; complete once all pieces have been taken. */
  readonly roundings: Map<string, Rounding> = new Map();
  readonly #multipliers = new Map<string, Multiply>();
  readonly #kernels: Kernels = createKernels({ bytes: PIECE_BYTES });
  /** In the memory of the kernels, which work fastest there. */
  readonly #piece = this.#kernels.allocate(PIECE_BYTES);

  /**
   * All bytes, in order. The pieces share memory.
   *
   * @throws {NonFiniteError} when a product is not finite
   */
  *of(tensor: OutputTensor): Generator<Uint8Array> {
    const whole = wholeSource(tensor);
    if (whole !== undefined) yield* this.#whole(tensor, whole);
    else yield* this.#tiles(tensor);
  }

  /** One stored tensor, at most multiplied. */
  *#whole(tensor: OutputTensor, { view: { tensor: source }, factor }: Block): Generator<Uint8Array> {
    for (let start = 0; start < source.byteLength; start += PIECE_BYTES) {
      const piece = this.#piece.subarray(0, Math.min(PIECE_BYTES, source.byteLength - start));
      readTensorRangeSync(source, start, piece);
      this.#multiply(tensor, source.dtype, factor, piece);
      yield piece;
    }
  }

  *#tiles(tensor: OutputTensor): Generator<Uint8Array> {
    const rowBytes = (tensor.columns * DTYPE_BITS[tensor.dtype]) / 8;
    const rows = tensorBytes(tensor) / rowBytes;
    const most = Math.max(1, Math.floor(PIECE_BYTES / rowBytes));
    for (let start = 0; start < rows; start += most) {
      const count = Math.min(most, rows - start);
      const bytes = count * rowBytes;
      const tile = bytes <= PIECE_BYTES ? this.#piece.subarray(0, bytes) : new Uint8Array(bytes);
      tile.fill(0);
      for (const block of tensor.blocks) this.#place(tensor, block, tile, start, count);
      yield tile;
    }
  }

  /** Puts the rows of a block that lie in the tile into it. */
  #place(tensor: OutputTensor, block: Block, tile: Uint8Array, tileStart: number, tileRows: number): void {
    const { view, factor, rowStart, rowStep, columnStart, columnStep } = block;
    const first = Math.max(0, Math.ceil((tileStart - rowStart) / rowStep));
    const end = Math.min(view.rows, Math.ceil((tileStart + tileRows - rowStart) / rowStep));
    if (end <= first) return;
    const stored = readElements(sliceRows(view, first, end - first));
    const elements = this.#convert(tensor, view.tensor, factor, stored);
    const width = DTYPE_BITS[tensor.dtype] / 8;
    const rowBytes = view.columns * width;
    const [from, to] = [elementsOf(elements, width), elementsOf(tile, width)];
    for (let row = first; row < end; row++) {
      const at = (rowStart + row * rowStep - tileStart) * tensor.columns + columnStart;
      const source = row - first;
      if (columnStep === 1) tile.set(elements.subarray(source * rowBytes, (source + 1) * rowBytes), at * width);
      else {
        for (let column = 0; column < view.columns; column++) {
          to[at + column * columnStep] = from[source * view.columns + column] ?? 0;
        }
      }
    }
  }

  /** Elements of the stored tensor as those of the output, times the factor; may overwrite them. */
  #convert(tensor: OutputTensor, source: TensorData, factor: number, stored: Uint8Array): Uint8Array {
    if (source.dtype === tensor.dtype) {
      this.#multiply(tensor, tensor.dtype, factor, stored);
      return stored;
    }
    if (tensor.dtype !== "f32") throw new RangeError(`${tensor.name}: ${source.dtype} becomes f32 or stays`);
    const dtype = floatDtypeOf(source);
    if (dtype === "f64") return narrowProducts(new Float64Array(stored.buffer, 0, stored.byteLength / 8), factor);
    const count = (stored.byteLength * 8) / DTYPE_BITS[dtype];
    const widened = new Float32Array(count);
    this.#kernels.widen(dtype, stored, widened);
    const bytes = new Uint8Array(widened.buffer);
    this.#multiply(tensor, "f32", factor, bytes);
    return bytes;
  }

  #multiply(tensor: OutputTensor, dtype: Dtype, factor: number, bytes: Uint8Array): void {
    if (factor === 1) return;
    if (!isFloatDtype(dtype)) throw new RangeError(`${tensor.name} is ${dtype}, which the reader of factors refuses`);
    const rounding = this.#multiplierOf(dtype, factor)(bytes);
    if (rounding.nonFinite > 0) {
      const [source] = tensor.blocks;
      throw new NonFiniteError(`${rounding.nonFinite} elements times ${factor} are not finite in ${dtype}`, {
        ...(source && placeOf(source.view.tensor)),
        hint: "the scale cannot be folded into this dtype; without folding the weights stay as they are",
      });
    }
    this.roundings.set(tensor.name, addRounding(this.roundings.get(tensor.name) ?? NO_ROUNDING, rounding));
  }

  #multiplierOf(dtype: FloatDtype, factor: number): Multiply {
    const key = `${dtype} ${factor}`;
    const known = this.#multipliers.get(key);
    if (known !== undefined) return known;
    if (this.#multipliers.size >= MAX_MULTIPLIERS) this.#multipliers.clear();
    const made = multiplier(dtype, factor, this.#kernels);
    this.#multipliers.set(key, made);
    return made;
  }
}

/** The only block, where it is one whole stored tensor in its own order and dtype. */
export function wholeSource({ blocks, columns, dtype, ...entry }: OutputTensor): Block | undefined {
  const [block, other] = blocks;
  if (block === undefined || other !== undefined || block.view.tensor.dtype !== dtype) return undefined;
  const { view, rowStart, rowStep, columnStart, columnStep } = block;
  const isPlain = isContiguous(view) && rowStart === 0 && rowStep === 1 && columnStart === 0 && columnStep === 1;
  return isPlain && view.columns === columns && view.tensor.byteLength === tensorBytes({ ...entry, dtype })
    ? block
    : undefined;
}

function isContiguous({ offset, rows, columns, rowStride, columnStride }: MatrixView): boolean {
  return offset === 0 && (columns === 1 || columnStride === 1) && (rows === 1 || rowStride === columns);
}

function narrowProducts(values: Float64Array, factor: number): Uint8Array {
  return new Uint8Array(Float32Array.from(values, (value) => value * factor).buffer);
}
