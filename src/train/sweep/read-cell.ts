/**
 * A finished cell's folder → what it showed.
 */

import { join } from "node:path";
import { readSteps } from "../run/metrics.ts";
import { type Cell, cellName } from "./cell.ts";
import type { CellResult } from "./cell-result.ts";
import { readCellRecord } from "./sweep-record.ts";

/** @throws {FormatError} INVALID_JSON when the folder's files are not those of a finished cell */
export function readCell(out: string, cell: Cell): Omit<CellResult, "startsPlain"> {
  const folder = cellName(cell);
  const path = join(out, folder);
  return { ...cell, folder, ...readCellRecord(path), steps: readSteps(path) };
}
