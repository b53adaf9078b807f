/**
 * The thread that prepares data: rows go out in groups, each in one block of memory that changes hands; then the summary.
 */

import { parentPort, workerData } from "node:worker_threads";
import { type PackedError, packError } from "../../engine/worker-errors.ts";
import type { Sequence } from "./batch.ts";
import type { DataRequest } from "./data-reader.ts";
import { type DataSummary, prepareData } from "./prepare.ts";

export interface PrepareJob {
  readonly request: DataRequest;
  /** Of shared memory: the line that is being worked on, counted on so that the caller sees that work goes on. */
  readonly line: Int32Array;
}

export type PrepareMessage =
  | { readonly rows: readonly Sequence[] }
  | { readonly summary: DataSummary }
  | { readonly error: PackedError };

/** Tokens of a group. */
const GROUP_TOKENS = 262_144;

const { request, line } = workerData as PrepareJob;

function run(): void {
  let rows: Sequence[] = [];
  let tokens = 0;
  const send = () => {
    const block = new Int32Array(rows.reduce((sum, row) => sum + storedTokens(row), 0));
    let end = 0;
    const place = (values: Int32Array) => {
      block.set(values, end);
      end += values.length;
      return block.subarray(end - values.length, end);
    };
    const placed = rows.map((row) => {
      const ids = place(row.tokens);
      return { tokens: ids, labels: row.labels === row.tokens ? ids : place(row.labels) };
    });
    post({ rows: placed }, [block.buffer]);
    [rows, tokens] = [[], 0];
  };
  const summary = prepareData(request, {
    onLine: (current) => {
      Atomics.store(line, 0, current);
      Atomics.add(line, 1, 1);
    },
    onRow: (row) => {
      rows.push(row);
      tokens += storedTokens(row);
      if (tokens >= GROUP_TOKENS) send();
    },
  });
  send();
  post({ summary });
}

function storedTokens({ tokens, labels }: Sequence): number {
  return labels === tokens ? tokens.length : 2 * tokens.length;
}

function post(message: PrepareMessage, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

try {
  run();
} catch (error) {
  post({ error: packError(error) });
}
