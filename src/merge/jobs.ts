/**
 * The work of a merge, cut into jobs for worker threads: plain data, each writing its own byte range.
 *
 * Neighbouring untouched tensors become one copy; large tensors are cut at fixed row boundaries. The cut depends on the
 * plan only, never on the number of workers, so the bytes of the output do not either.
 */

import type { Dtype } from "../core/dtype.ts";
import type { TensorData } from "../formats/tensor-store.ts";
import type { MergeStep } from "./combine/combine-step.ts";
import { METHODS } from "./combine/registry.ts";
import type { PlacedWork } from "./output.ts";
import type { PlacedTensor } from "./output-layout.ts";
import type { PlannedTensor } from "./plan.ts";

/** Bytes of one copy, so that progress moves and workers share the load. */
const COPY_BYTES = 32 * 1024 * 1024;
/** Elements of one tensor job: enough to amortise loading the factors, small enough to share a model of one layer. */
const JOB_ELEMENTS = 16 * 1024 * 1024;

export interface CopyJob {
  readonly kind: "copy";
  readonly source: TensorData["source"];
  /** Within the source, in bytes. */
  readonly start: number;
  readonly byteLength: number;
  readonly path: string;
  /** Of the output file, in bytes. */
  readonly offset: number;
  readonly subject: string;
}

/** Some rows of one tensor after its steps. */
export interface TensorWork {
  readonly name: string;
  readonly source: TensorData;
  /** Of the result. */
  readonly dtype: Dtype;
  /** [rows, columns] is the storage view of the whole tensor. */
  readonly rows: number;
  readonly columns: number;
  /** The rows that this job makes. */
  readonly rowStart: number;
  readonly rowEnd: number;
  readonly steps: readonly MergeStep[];
}

export interface TensorJob extends TensorWork {
  readonly kind: "tensor";
  readonly path: string;
  /** Of the whole tensor in the output file, in bytes. */
  readonly offset: number;
  readonly byteLength: number;
}

export interface HashJob {
  readonly kind: "hash";
  readonly path: string;
  readonly byteLength: number;
}

/** Recomputes rows and compares them with a merged file. */
export interface VerifyJob extends TensorWork {
  readonly kind: "verify";
  readonly merged: TensorData;
}

/** Compares the bytes of a tensor that only passes through. */
export interface CompareJob {
  readonly kind: "compare";
  readonly name: string;
  readonly source: TensorData;
  readonly merged: TensorData;
}

export type Job = CopyJob | TensorJob | HashJob | VerifyJob | CompareJob;

/** Jobs that write everything but headers. */
export function planJobs({ placed: tensors, copies, pathOf }: PlacedWork): Job[] {
  const jobs: Job[] = [...copies];
  for (const placed of tensors) {
    if (placed.byteLength === 0) continue;
    const path = pathOf(placed.file);
    const { tensor } = placed;
    const staysAsItIs = tensor.steps.length === 0 && tensor.dtype === tensor.source.dtype;
    if (staysAsItIs) appendCopy(jobs, placed, path);
    else jobs.push(...tensorJobs(placed, path));
  }
  return jobs.flatMap(splitCopy);
}

/** Extends the last copy when both ends of the new one follow on, in the input and in the output. */
function appendCopy(jobs: Job[], placed: PlacedTensor, path: string): void {
  const { source, name } = placed.tensor.source;
  const last = jobs.at(-1);
  const follows =
    last?.kind === "copy" &&
    last.path === path &&
    last.source.kind === "file" &&
    source.kind === "file" &&
    last.source.path === source.path &&
    last.source.offset + last.byteLength === source.offset &&
    last.offset + last.byteLength === placed.offset;
  if (follows) jobs[jobs.length - 1] = { ...last, byteLength: last.byteLength + placed.byteLength };
  else {
    const { byteLength, offset } = placed;
    jobs.push({ kind: "copy", source, start: 0, byteLength, path, offset, subject: name });
  }
}

function splitCopy(job: Job): Job[] {
  if (job.kind !== "copy") return [job];
  const pieces: Job[] = [];
  for (let done = 0; done < job.byteLength; done += COPY_BYTES) {
    const byteLength = Math.min(COPY_BYTES, job.byteLength - done);
    pieces.push({ ...job, start: job.start + done, byteLength, offset: job.offset + done });
  }
  return pieces;
}

function tensorJobs({ tensor, offset, byteLength }: PlacedTensor, path: string): TensorJob[] {
  return cutByRows(tensor).map((work) => ({ kind: "tensor", ...work, path, offset, byteLength }));
}

/** A tensor cut into jobs at fixed rows; one whose steps need it whole stays one. */
export function cutByRows(tensor: PlannedTensor): TensorWork[] {
  const { name, source, dtype, steps } = tensor;
  const [rows, columns] = tensor.view;
  const rowsOfJob = needsWholeTensor(steps) ? rows : Math.max(1, Math.floor(JOB_ELEMENTS / Math.max(1, columns)));
  const jobs: TensorWork[] = [];
  for (let rowStart = 0; rowStart < rows; rowStart += rowsOfJob) {
    const rowEnd = Math.min(rows, rowStart + rowsOfJob);
    jobs.push({ name, source, dtype, rows, columns, rowStart, rowEnd, steps });
  }
  return jobs;
}

/** Column norms, factorisations and thresholds see every row. */
function needsWholeTensor(steps: readonly MergeStep[]): boolean {
  return steps.some((step) => {
    if (step.kind === "combine") {
      const method = METHODS[step.method.name];
      return method.kind === "sum" || method.selection === "largest";
    }
    return step.kind === "residual" || (step.kind === "magnitude" && step.axis === "columns");
  });
}
