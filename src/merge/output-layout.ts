/**
 * Where every tensor of the output lies: files, headers and byte offsets, before a single number is computed.
 *
 * Without a shard limit the base's files and their order stay. With one, tensors are dealt in the base's order into
 * files of at most that many bytes, as Hugging Face's `save_pretrained` does; a tensor above the limit gets its own.
 */

import { tensorBytes } from "../core/dtype.ts";
import { encodeHeader } from "../formats/safetensors/writer.ts";
import type { FrameEntry } from "../formats/weights-frame.ts";
import { type MergePlan, type PlannedFile, type PlannedTensor, tensorsOf } from "./plan.ts";

export interface PlacedTensor {
  readonly tensor: PlannedTensor;
  /** Name of the output file. */
  readonly file: string;
  /** From the start of the file, in bytes. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface OutputFile {
  readonly name: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: readonly PlacedTensor[];
  /** Length prefix, JSON and padding. */
  readonly header: Uint8Array;
  readonly byteLength: number;
}

/** Deals the planned files into files of at most `maxShardBytes` of tensor data; the metadata is the first file's. */
function reshard(files: readonly PlannedFile[], maxShardBytes: number): PlannedFile[] {
  const shards: PlannedTensor[][] = [];
  let filled = Number.POSITIVE_INFINITY;
  for (const tensor of tensorsOf({ files })) {
    const bytes = tensorBytes(tensor);
    if (filled + bytes > maxShardBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)?.push(tensor);
    filled += bytes;
  }
  const metadata = files[0]?.metadata ?? new Map<string, string>();
  return shards.map((tensors, index) => ({ name: shardName(index + 1, shards.length), metadata, tensors }));
}

function shardName(index: number, count: number): string {
  if (count === 1) return "model.safetensors";
  return `model-${numberOf(index, count)}.safetensors`;
}

/** `00002-of-00005`, as Hugging Face numbers shards. */
export function numberOf(index: number, count: number): string {
  const digits = (value: number) => String(value).padStart(5, "0");
  return `${digits(index)}-of-${digits(count)}`;
}

export interface LayoutOptions {
  /** Name of the only weights file, when the output is one file. */
  readonly fileName?: string | undefined;
  readonly maxShardBytes: number | undefined;
  /** Joins the metadata of every file. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** All files of the output. */
export function layOut(plan: MergePlan, { fileName, maxShardBytes, metadata }: LayoutOptions): OutputFile[] {
  const files = maxShardBytes === undefined ? plan.files : reshard(plan.files, maxShardBytes);
  return files.map((file) => placeTensors(fileName === undefined ? file : { ...file, name: fileName }, metadata));
}

/** Places every tensor of one file, in the given order, without gaps. */
function placeTensors(file: PlannedFile, extraMetadata: ReadonlyMap<string, string>): OutputFile {
  const metadata = new Map([...file.metadata, ...extraMetadata]);
  const entries: FrameEntry[] = file.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
  const header = encodeHeader(entries, metadata);
  let offset = header.byteLength;
  const tensors = file.tensors.map((tensor) => {
    const placed = { tensor, file: file.name, offset, byteLength: tensorBytes(tensor) };
    offset += placed.byteLength;
    return placed;
  });
  return { name: file.name, metadata, tensors, header, byteLength: offset };
}
