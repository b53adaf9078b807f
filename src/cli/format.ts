/**
 * Numbers and tables as people read them.
 */

import { rangeOf } from "../core/range.ts";

const UNITS = ["B", "kB", "MB", "GB", "TB"] as const;

/** Decimal units, three digits: `524 kB`, `2.20 GB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toPrecision(3)} ${UNITS[unit]}`;
}

/** `260,032` */
export function formatCount(count: number): string {
  return count.toLocaleString("en-US");
}

/** `0.8 s`, `42 s`, `3 min 20 s`, `2 h 05 min` */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** Operations a second, given in 10¹²: `6.8 GFLOP/s`, `1.2 TFLOP/s`. */
export function formatTeraflops(teraflops: number): string {
  return teraflops < 0.995
    ? `${Number((teraflops * 1000).toPrecision(2))} GFLOP/s`
    : `${Number(teraflops.toPrecision(2))} TFLOP/s`;
}

/** A share as a percentage with two significant digits; 0 stays `0 %`. */
export function formatShare(part: number, whole: number): string {
  if (part === 0 || whole === 0) return "0 %";
  const percent = (100 * part) / whole;
  return `${percent >= 99.95 && part < whole ? percent.toFixed(2) : Number(percent.toPrecision(2))} %`;
}

/** Six digits, no zeros behind. */
export function formatNumber(value: number): string {
  return String(Number(value.toPrecision(6)));
}

export function formatChange(before: number, after: number): string {
  return `${formatNumber(before)} → ${formatNumber(after)}`;
}

/** Lowest and highest: `8`, `4 … 16`. */
export function formatRange(values: readonly number[]): string {
  return formatEnds(values, formatNumber);
}

/** Lowest and highest of relative errors, two digits: `0.012 … 0.034`. */
export function formatErrors(errors: readonly number[]): string {
  return formatEnds(errors, (value) => String(Number(value.toPrecision(2))));
}

function formatEnds(values: readonly number[], format: (value: number) => string): string {
  const [low, high] = rangeOf(values).map(format);
  return low === high ? `${low}` : `${low} … ${high}`;
}

/** Columns padded to their widest cell, two spaces apart. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const columns = rows.reduce((most, row) => Math.max(most, row.length), 0);
  const widths = Array.from({ length: columns }, (_, column) =>
    rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}
