/**
 * The process that prepares data: told what to read by its first message, it sends what it works on, rows in groups,
 * and last the summary or the error.
 */

import { type PackedError, packError } from "../../engine/worker-errors.ts";
import type { Sequence } from "./batch.ts";
import type { DataRequest } from "./data-reader.ts";
import { type DataSummary, prepareData, type Work } from "./prepare.ts";
import { packRowGroup, type RowGroup, storedTokens } from "./row-group.ts";

export type DataMessage =
  | { readonly kind: "work"; readonly work: Work }
  | { readonly kind: "rows"; readonly group: RowGroup }
  | { readonly kind: "summary"; readonly summary: DataSummary }
  | { readonly kind: "error"; readonly error: PackedError };

/** Numbers of a group: 1 MB. */
const GROUP_TOKENS = 262_144;

/** Resolves when the message is on its way, so that what is read waits for what is taken. */
function send(message: DataMessage): Promise<void> {
  return new Promise((resolve) => {
    process.send?.(message, undefined, undefined, () => resolve());
  });
}

async function run(request: DataRequest): Promise<void> {
  // Goes out before the row is worked on, so that whoever waits in vain knows for which.
  const rows = prepareData(request, (work) => void send({ kind: "work", work }));
  let group: Sequence[] = [];
  let tokens = 0;
  let next = rows.next();
  for (; next.done !== true; next = rows.next()) {
    group.push(next.value);
    tokens += storedTokens(next.value);
    if (tokens < GROUP_TOKENS) continue;
    await send({ kind: "rows", group: packRowGroup(group) });
    [group, tokens] = [[], 0];
  }
  await send({ kind: "rows", group: packRowGroup(group) });
  await send({ kind: "summary", summary: next.value });
}

// Whoever asked is gone.
process.once("disconnect", () => process.exit());
process.once("message", (request: DataRequest) => {
  void run(request)
    .catch((error: unknown) => send({ kind: "error", error: packError(error) }))
    .then(() => process.disconnect());
});
