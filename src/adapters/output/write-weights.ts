/**
 * Fills a staged file with a header and the tensors behind it: small files one tensor after the other, large ones by worker
 * threads, each at its offsets. The bytes are the same.
 */

import { tensorBytes } from "../../core/dtype.ts";
import type { RunOptions } from "../../core/progress.ts";
import { WorkerPool, workerCount } from "../../engine/worker-pool.ts";
import type { WeightsFrame } from "../../formats/weights-frame.ts";
import { copyInto, fillFileInPieces, setSizeSync, withFileToWrite, writeAllSync } from "../../formats/write-file.ts";
import { findCopied } from "./copied-tensors.ts";
import type { Rounding } from "./multiply.ts";
import type { OutputTensor } from "./output-tensor.ts";
import { TensorPieces } from "./tensor-pieces.ts";
import { type PlacedTensor, writePlaced } from "./write-placed.ts";

/** Below it, threads take longer to start than the work takes. */
const PARALLEL_BYTES = 64 * 1024 * 1024;
/** Of one job: a few of the tensors of a layer. */
const JOB_BYTES = 8 * 1024 * 1024;

/** Some tensors, to be written by a thread. */
export interface FillJob {
  readonly kind: "fill";
  readonly path: string;
  readonly entries: readonly PlacedTensor[];
}

/**
 * @param path a file that a stage has created
 * @param frame made for these tensors, in this order
 * @returns what became of the tensors that were multiplied, by name
 * @throws {NonFiniteError} when a product is not finite
 * @throws {InterruptedError} when the signal has come
 */
export async function writeWeights(
  path: string,
  frame: WeightsFrame,
  tensors: readonly OutputTensor[],
  options: RunOptions,
): Promise<ReadonlyMap<string, Rounding>> {
  if (frame.size >= PARALLEL_BYTES) return writeInThreads(path, frame, tensors, options);
  const { signal, onProgress } = options;
  const pieces = new TensorPieces();
  const counted = function* () {
    let done = 0;
    for (const piece of filePieces(frame, tensors, pieces)) {
      yield piece;
      done += piece.byteLength;
      onProgress?.({ phase: "write", done, total: frame.size, unit: "bytes" });
    }
  };
  await fillFileInPieces(path, counted(), signal);
  return pieces.roundings;
}

function* filePieces(
  frame: WeightsFrame,
  tensors: readonly OutputTensor[],
  pieces: TensorPieces,
): Generator<Uint8Array> {
  const between = bytesBetween(frame, tensors);
  for (const [index, { bytes }] of between.entries()) {
    if (bytes.length > 0) yield bytes;
    const tensor = tensors[index];
    if (tensor !== undefined) yield* pieces.of(tensor);
  }
}

/** What lies before each tensor, the header with the first, and behind the last. */
function bytesBetween(
  { header, offsets, before = [], size }: WeightsFrame,
  tensors: readonly OutputTensor[],
): { readonly offset: number; readonly bytes: Uint8Array }[] {
  let [position, start] = [0, header];
  const ends = [...offsets, size];
  return ends.map((end, index) => {
    const bytes = new Uint8Array(end - position);
    const lead = before[index] ?? new Uint8Array();
    bytes.set(start);
    bytes.set(lead, bytes.length - lead.length);
    const offset = position;
    const tensor = tensors[index];
    if (tensor !== undefined) [position, start] = [end + tensorBytes(tensor), new Uint8Array()];
    return { offset, bytes };
  });
}

async function writeInThreads(
  path: string,
  frame: WeightsFrame,
  tensors: readonly OutputTensor[],
  { signal, onProgress }: RunOptions,
): Promise<ReadonlyMap<string, Rounding>> {
  const { offsets, size } = frame;
  const all = tensors.map((tensor, index) => ({ tensor, offset: offsets[index] ?? 0 }));
  // Numbers in memory would be copied to the threads, with all of the buffers that they lie in.
  const inMemory = all.filter(({ tensor }) => tensor.blocks.some(({ view }) => view.tensor.source.kind === "memory"));
  const pieces = new TensorPieces();
  const copied = findCopied(all, size);
  if (copied !== undefined) await copyInto(copied.file, path);
  withFileToWrite(path, (file) => {
    setSizeSync(file, size, path);
    for (const { offset, bytes } of bytesBetween(frame, tensors)) writeAllSync(file, bytes, offset, path);
  });
  writePlaced(path, inMemory, pieces);
  const onDisk = all.filter((entry) => !inMemory.includes(entry) && !copied?.tensors.has(entry));
  const roundings = new Map(pieces.roundings);
  const pool = new WorkerPool<FillJob, { readonly fill: ReadonlyMap<string, Rounding> }>({
    module: new URL("./fill-worker.js", import.meta.url),
    count: workerCount({ device: "cpu" }),
    settings: {},
    signal,
  });
  let done = size - onDisk.reduce((sum, { tensor }) => sum + tensorBytes(tensor), 0);
  try {
    await pool.run(jobsOf(path, onDisk), ({ job, result }) => {
      for (const [name, rounding] of result) roundings.set(name, rounding);
      done += job.entries.reduce((sum, { tensor }) => sum + tensorBytes(tensor), 0);
      onProgress?.({ phase: "write", done, total: size, unit: "bytes" });
    });
  } finally {
    await pool.close();
  }
  return roundings;
}

/** Neighbours together, so that each thread writes where it has written. */
function jobsOf(path: string, entries: readonly PlacedTensor[]): FillJob[] {
  const jobs: FillJob[] = [];
  let current: PlacedTensor[] = [];
  let bytes = 0;
  for (const entry of entries) {
    current.push(entry);
    bytes += tensorBytes(entry.tensor);
    if (bytes < JOB_BYTES) continue;
    jobs.push({ kind: "fill", path, entries: current });
    current = [];
    bytes = 0;
  }
  return current.length === 0 ? jobs : [...jobs, { kind: "fill", path, entries: current }];
}
