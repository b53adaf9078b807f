/**
 * One worker thread: an engine session, cast kernels and tile buffers of its own; jobs come in, statistics go out.
 */

import { createHash } from "node:crypto";
import { workerData } from "node:worker_threads";
import { createKernels } from "../core/cast/kernels.ts";
import { elementCount } from "../core/shape.ts";
import type { DeviceName, EngineName } from "../engine/device.ts";
import { openEngine } from "../engine/engine.ts";
import { openGemm } from "../engine/gemm.ts";
import { checkStop, serveJobs } from "../engine/serve-jobs.ts";
import type { StopSignal } from "../engine/worker-pool.ts";
import { readTensorRangeSync } from "../formats/byte-source.ts";
import { openForWriteSync, writeAllSync } from "../formats/write-file.ts";
import type { CompareJob, CopyJob, HashJob, Job } from "./jobs.ts";
import { TensorExecutor, type TensorStats, tileMemoryBytes } from "./tensor-executor.ts";
import { type RowsVerified, verifyRows } from "./verify-rows.ts";

export interface WorkerSettings {
  readonly device: DeviceName;
  readonly engine: EngineName;
  /** Elements of a tile; at least the longest row among the tensors with steps. */
  readonly tileElements: number;
}

/** What each kind of job answers. */
export interface JobResults {
  readonly copy: undefined;
  readonly hash: string;
  readonly tensor: TensorStats;
  readonly verify: RowsVerified;
  readonly compare: RowsVerified;
}

/** Bytes of one read of a copy or a hash. */
const CHUNK_BYTES = 4 * 1024 * 1024;

const settings = workerData as WorkerSettings & StopSignal;
const outputs = new Map<string, number>();
let executor: Promise<TensorExecutor> | undefined;
let chunk: Uint8Array | undefined;

serveJobs(run);

async function run(job: Job): Promise<JobResults[Job["kind"]]> {
  switch (job.kind) {
    case "copy":
      return copy(job);
    case "hash":
      return hash(job);
    case "tensor": {
      executor ??= openExecutor();
      const output = outputOf(job.path);
      return (await executor).run(job, ({ bytes, byteOffset }) => {
        writeAllSync(output, bytes, job.offset + byteOffset, job.path);
      });
    }
    case "verify": {
      executor ??= openExecutor();
      return verifyRows(await executor, job);
    }
    case "compare":
      return compare(job);
  }
}

async function openExecutor(): Promise<TensorExecutor> {
  const engine = await openEngine({ device: settings.device, engine: settings.engine, threads: 1 });
  const kernels = createKernels({ bytes: tileMemoryBytes(settings.tileElements) });
  return new TensorExecutor(kernels, openGemm(engine), settings.tileElements, () => checkStop(settings));
}

function copy(job: CopyJob): undefined {
  const output = outputOf(job.path);
  forEachChunk(job.byteLength, (bytes, position) => {
    readTensorRangeSync({ name: job.subject, source: job.source }, job.start + position, bytes);
    writeAllSync(output, bytes, job.offset + position, job.path);
  });
}

function hash(job: HashJob): string {
  const digest = createHash("sha256");
  const whole = { name: job.path, source: { kind: "file" as const, path: job.path, offset: 0 } };
  forEachChunk(job.byteLength, (bytes, position) => {
    readTensorRangeSync(whole, position, bytes);
    digest.update(bytes);
  });
  return digest.digest("hex");
}

function compare({ source, merged }: CompareJob): RowsVerified {
  const elements = elementCount(source.shape) ?? 0;
  const width = Math.max(1, source.byteLength / elements);
  let [different, last] = [0, -1];
  forEachChunk(source.byteLength, (bytes, position) => {
    const found = new Uint8Array(bytes.byteLength);
    readTensorRangeSync(source, position, bytes);
    readTensorRangeSync(merged, position, found);
    if (Buffer.compare(bytes, found) === 0) return;
    for (let index = 0; index < bytes.byteLength; index++) {
      const element = Math.floor((position + index) / width);
      if (bytes[index] === found[index] || element === last) continue;
      different++;
      last = element;
    }
  });
  const maxUlp = different === 0 ? 0 : Number.POSITIVE_INFINITY;
  return { elements, different, maxUlp, exactElements: 0, maxExactUlp: 0, allowedUlp: 1 };
}

function forEachChunk(byteLength: number, visit: (bytes: Uint8Array, position: number) => void): void {
  chunk ??= new Uint8Array(CHUNK_BYTES);
  for (let position = 0; position < byteLength; position += CHUNK_BYTES) {
    checkStop(settings);
    visit(chunk.subarray(0, Math.min(CHUNK_BYTES, byteLength - position)), position);
  }
}

function outputOf(path: string): number {
  const open = outputs.get(path) ?? openForWriteSync(path);
  outputs.set(path, open);
  return open;
}
