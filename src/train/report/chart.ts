/**
 * What a chart shows, as plain data: made here, embedded in the report as JSON, drawn in the browser by `page.ts`.
 */

export type Chart = LineChart | CellChart;

export interface Axis {
  readonly label: string;
  readonly scale: "linear" | "log";
  /** Where a logarithmic axis of whole numbers has its ticks; chosen by the plotting library when absent. */
  readonly ticks?: readonly number[];
}

export type Point = readonly [x: number, y: number];

export interface LineChart {
  readonly kind: "lines";
  readonly title: string;
  readonly caption: string;
  readonly x: Axis;
  readonly y: Axis;
  /** Small multiples with common axes, in their order; empty for a single panel. */
  readonly panels: readonly string[];
  /** `ordered` names get colours along a scale, `named` ones colours that differ. */
  readonly colours: "ordered" | "named";
  readonly series: readonly Series[];
}

export interface Series {
  /** Series of one name share their colour and their place in the legend. */
  readonly name: string;
  readonly panel?: string;
  readonly mark: "line" | "faint-line" | "dots";
  readonly points: readonly Point[];
  /** A shaded range around the points: x, lowest, highest. */
  readonly band?: readonly (readonly [x: number, low: number, high: number])[];
}

/** A matrix of colours: one row for each name, one column for each x. */
export interface CellChart {
  readonly kind: "cells";
  readonly title: string;
  readonly caption: string;
  readonly x: Axis;
  /** What the colours measure; on a logarithmic scale, values of 0 stay empty. */
  readonly label: string;
  readonly rows: readonly string[];
  readonly columns: readonly number[];
  /** One list of values for each row. */
  readonly values: readonly (readonly number[])[];
}
