/**
 * BD-LoRA (PEFT `BlockDiagonalLinear`): a factor that is zero outside of blocks on its diagonal, stored as the blocks on
 * top of each other. Written out with its zeros it is plain LoRA, exactly.
 */

import { DTYPE_BITS } from "../../../core/dtype.ts";
import type { JsonObject, JsonValue } from "../../../core/json.ts";
import { readTensorBytes } from "../../../formats/byte-source.ts";
import type { TensorData } from "../../../formats/tensor-store.ts";
import { nameListField, rankField, type Settings, wrongType } from "./fields.ts";
import { unsupported } from "./unsupported.ts";

export interface BlockDiagonal {
  /** Parts of the names of modules whose `lora_A` is stored as blocks. */
  readonly down: readonly string[];
  /** The same for `lora_B`. */
  readonly up: readonly string[];
  readonly blocks: number;
}

/** The setting `use_bdlora`; `undefined` when it is not set. */
export function readBlockDiagonal(settings: Settings): BlockDiagonal | undefined {
  const key = "use_bdlora";
  const value = settings.values.get(key) ?? false;
  if (value === false) return undefined;
  if (!(value instanceof Map)) throw wrongType(settings, key, "an object", value as JsonValue);
  const members = Array.from(value as JsonObject, ([name, member]) => [`${key}.${name}`, member] as const);
  const inner: Settings = { file: settings.file, values: new Map(members) };
  return {
    down: nameListField(inner, `${key}.target_modules_bd_a`),
    up: nameListField(inner, `${key}.target_modules_bd_b`),
    blocks: rankField(inner, `${key}.nblocks`),
  };
}

/** Which factor of a module is stored as blocks: the one whose list has a part of its name. */
export function blockDiagonalSide(setting: BlockDiagonal | undefined, module: string): "down" | "up" | undefined {
  if (setting?.down.some((part) => module.includes(part))) return "down";
  return setting?.up.some((part) => module.includes(part)) ? "up" : undefined;
}

/**
 * Blocks [rows / blocks, columns] under each other → [rows, columns · blocks] with the blocks on the diagonal.
 *
 * @param tensor [rows, columns]; rows must be a multiple of `blocks`
 * @returns a tensor in memory, same name and dtype
 */
export function writeOutBlocks(tensor: TensorData, blocks: number): TensorData {
  const [rows = 0, columns = 0] = tensor.shape;
  const elementBytes = DTYPE_BITS[tensor.dtype] / 8;
  const blockBytes = columns * elementBytes;
  const byteLength = rows * blockBytes * blocks;
  if (byteLength > MAX_WRITTEN_OUT_BYTES) {
    throw unsupported(`written out, the blocks take ${byteLength} bytes, expected at most ${MAX_WRITTEN_OUT_BYTES}`, {
      subject: tensor.name,
    });
  }
  const stored = readTensorBytes(tensor);
  const bytes = new Uint8Array(byteLength);
  for (let row = 0; row < rows; row++) {
    const block = Math.floor((row * blocks) / rows);
    bytes.set(stored.subarray(row * blockBytes, (row + 1) * blockBytes), (row * blocks + block) * blockBytes);
  }
  return { ...tensor, shape: [rows, columns * blocks], byteLength, source: { kind: "memory", bytes } };
}

/** One factor. Real: 16 MB (rank 256, 16,384 inputs, f32). */
const MAX_WRITTEN_OUT_BYTES = 256 * 1024 * 1024;
