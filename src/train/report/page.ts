/**
 * The program inside a report, run by the browser: draws the embedded charts with Observable Plot, again when the width or
 * the colours of the system change, and saves one as SVG on demand.
 *
 * Nothing may be imported here but types: the built file is put into the page as it is.
 */

import type { Data, MarkOptions, PlotOptions, ScaleOptions, TipOptions } from "@observablehq/plot";
import type { Axis, CellChart, Chart, LineChart } from "./chart.ts";

declare const Plot: typeof import("@observablehq/plot");

/** What is used here of the browser; TypeScript declares it only as part of the whole DOM, for every file. */
interface Element {
  textContent: string;
  readonly clientWidth: number;
  readonly outerHTML: string;
  append(...nodes: readonly unknown[]): void;
  replaceChildren(...nodes: readonly unknown[]): void;
  setAttribute(name: string, value: string): void;
  addEventListener(type: string, listener: () => void): void;
  querySelector(selector: string): Element;
  click(): void;
}
declare const document: {
  getElementById(id: string): Element;
  querySelectorAll(selector: string): Iterable<Element>;
  createElement(name: string): Element;
  createElementNS(namespace: string, name: string): Element;
};
declare const matchMedia: (query: string) => Element & { readonly matches: boolean };
declare const ResizeObserver: new (callback: () => void) => { observe(element: Element): void };

interface Look {
  readonly width: number;
  readonly dark: boolean;
}

const SVG = "http://www.w3.org/2000/svg";
const STYLE = { fontSize: "12px", background: "none", fontFamily: "system-ui, sans-serif" };
const EXPORT_LOOK: Look = { width: 960, dark: false };
/** Below this, panels stand on top of each other. */
const NARROW = 620;
const NAMED_COLOURS = [
  "#4269d0",
  "#e8833a",
  "#3ca951",
  "#c95bd6",
  "#d6475f",
  "#1fa7b5",
  "#97713f",
  "#8a94a3",
  "#b79500",
  "#6a51c7",
];

const charts = JSON.parse(document.getElementById("charts").textContent) as readonly Chart[];
const dark = matchMedia("(prefers-color-scheme: dark)");

[...document.querySelectorAll("figure")].forEach((figure, index) => {
  const chart = charts[index];
  if (chart === undefined) return;
  const plot = figure.querySelector(".plot");
  let drawn = "";
  const draw = () => {
    const look = { width: Math.max(280, Math.floor(plot.clientWidth)), dark: dark.matches };
    if (JSON.stringify(look) === drawn) return;
    drawn = JSON.stringify(look);
    plot.replaceChildren(drawChart(chart, look));
  };
  draw();
  new ResizeObserver(draw).observe(plot);
  dark.addEventListener("change", draw);
  figure.querySelector("button").addEventListener("click", () => save(chart));
});

function save(chart: Chart): void {
  const svg = drawChart(chart, EXPORT_LOOK);
  setAttributes(svg, { xmlns: SVG, style: "background: white; color: #1c2430; --plot-background: white" });
  const link = document.createElement("a");
  // A tenth of a pixel is enough, and half the file.
  const text = svg.outerHTML.replace(/ d="[^"]*"/g, (path) => path.replace(/(\.\d)\d+/g, "$1"));
  const href = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  setAttributes(link, { href, download: `${chart.title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.svg` });
  link.click();
}

function drawChart(chart: Chart, look: Look): Element {
  const svg = chart.kind === "lines" ? drawLines(chart, look) : drawCells(chart, look);
  setAttributes(svg, { role: "img", "aria-label": `${chart.title}. ${chart.caption}` });
  return svg;
}

function drawLines(chart: LineChart, look: Look): Element {
  const { panels, series } = chart;
  const names = [...new Set(series.map(({ name }) => name))];
  const colours = coloursOf(chart.colours, names.length, look.dark);
  const legend = layOutLegend(names, look.width);
  const stacked = panels.length > 1 && look.width < NARROW;
  const facet = panels.length > 1 ? (stacked ? { fy: "panel" } : { fx: "panel" }) : {};
  const rows = (mark: string) =>
    series
      .filter((each) => each.mark === mark)
      .flatMap(({ name, panel, points }) => points.map(([x, y]) => ({ x, y, name, panel })));
  const bands = series.flatMap(({ name, panel, band = [] }) =>
    band.map(([x, low, high]) => ({ x, low, high, name, panel })),
  );
  const place = { x: "x", y: "y", ...facet };
  const line = { ...place, z: "name", stroke: "name" };
  const tip: TipOptions = {
    ...place,
    title: ({ name, x, y }: { name: string; x: number; y: number }) =>
      `${name}\n${chart.x.label} ${shortNumber(x)}\n${chart.y.label} ${shortNumber(y)}`,
    fontSize: 12,
  };
  const top = 18 + 20 * legend.rows;
  const facetLabels = panels.length > 1 && !stacked ? 18 : 0;
  const options: PlotOptions = {
    width: look.width,
    height: stacked ? top + 40 + 250 * panels.length : top + (panels.length > 1 ? 360 : 270) + facetLabels,
    marginTop: top + 14 + facetLabels,
    marginLeft: 54,
    marginRight: stacked ? 54 : 14,
    marginBottom: 38,
    x: axisOf(chart.x, look.width / (stacked ? 1 : Math.max(1, panels.length))),
    y: { ...axisOf(chart.y), grid: true },
    color: { domain: names, range: colours },
    ...(panels.length > 1 && { [stacked ? "fy" : "fx"]: { domain: panels, label: null } }),
    marks: [
      Plot.areaY(bands, { x: "x", y1: "low", y2: "high", z: "name", fill: "name", fillOpacity: 0.16, ...facet }),
      Plot.line(rows("faint-line"), { ...line, strokeOpacity: 0.35, strokeWidth: 1 }),
      Plot.line(rows("line"), { ...line, strokeWidth: 1.8, strokeLinejoin: "round" }),
      Plot.dot(rows("dots"), { ...place, fill: "name", r: 3.2 }),
      Plot.tip([...rows("line"), ...rows("dots")], Plot.pointer(tip as MarkOptions) as TipOptions),
    ],
  };
  const svg = plotOf(options);
  if (names.length > 1) svg.append(drawLegend(names, colours, legend.places));
  return svg;
}

function drawCells(chart: CellChart, look: Look): Element {
  const data: Data = chart.rows.flatMap((row, r) =>
    chart.columns.map((column, c) => ({ row, column, value: chart.values[r]?.[c] ?? Number.NaN })),
  );
  // Long module names keep their end, which tells them apart.
  const start = commonPrefix(chart.rows).length;
  const room = Math.min(Math.max(...chart.rows.map((row) => row.length - start)), Math.floor(look.width / 18));
  const short = (name: string) => (name.length - start > room ? `…${name.slice(1 - room)}` : name.slice(start));
  const apart = Math.ceil((110 * chart.columns.length) / look.width);
  const ticks = chart.columns.filter((_, index) => index % apart === 0);
  return plotOf({
    width: look.width,
    height: 90 + 13 * chart.rows.length,
    marginLeft: 16 + 6.4 * room,
    marginTop: 16,
    marginBottom: 42,
    padding: 0,
    x: {
      label: chart.x.label,
      type: "band",
      ticks,
    },
    y: { label: null, domain: chart.rows, tickFormat: short, tickSize: 0 },
    color: { type: "log", scheme: "viridis", label: chart.label },
    marks: [
      Plot.cell(data, {
        x: "column",
        y: "row",
        fill: (d: { value: number }) => (d.value > 0 ? d.value : undefined),
        shapeRendering: "crispEdges",
        title: (d: { row: string; column: number; value: number }) =>
          `${d.row}\n${chart.x.label} ${d.column}\n${chart.label} ${shortNumber(d.value)}`,
        tip: true,
      }),
    ],
  });
}

/** Without a legend of its own, Plot gives the drawing itself. */
function plotOf(options: PlotOptions): Element {
  return Plot.plot({ ...options, figure: false, style: STYLE }) as unknown as Element;
}

function axisOf({ label, scale, ticks }: Axis, width = 400): ScaleOptions {
  if (scale === "linear") {
    return { label, type: scale, ticks: Math.max(3, Math.floor(width / 80)), tickFormat: shortNumber };
  }
  if (ticks === undefined) return { label, type: scale, tickFormat: shortNumber };
  // D3 leaves out labels of a logarithmic scale between powers of its base.
  const tickFormat = (power: number) => String(Math.round(2 ** power));
  return { label, type: "linear", transform: Math.log2, ticks: ticks.map(Math.log2), tickFormat };
}

function coloursOf(kind: LineChart["colours"], count: number, isDark: boolean): string[] {
  const name = (index: number) => NAMED_COLOURS[index % NAMED_COLOURS.length] ?? "";
  if (kind === "named" || count < 3) return Array.from({ length: count }, (_, index) => name(index));
  // The ends of the scale that would vanish into the page are left out.
  const [from, to] = isDark ? [0.95, 0.25] : [0.85, 0];
  const scale = Plot.scale({ color: { type: "linear", domain: [0, 1], scheme: "viridis" } });
  return Array.from({ length: count }, (_, index) => String(scale.apply(from + ((to - from) * index) / (count - 1))));
}

type Place = readonly [x: number, y: number];

/** Names in rows, as wide as such text usually is. */
function layOutLegend(names: readonly string[], width: number): { rows: number; places: Place[] } {
  let [x, row] = [4, 0];
  const places = names.map((name): Place => {
    const needed = 26 + 6.6 * name.length;
    if (x > 4 && x + needed > width) [x, row] = [4, row + 1];
    x += needed;
    return [x - needed, 26 + 20 * row];
  });
  return { rows: names.length > 1 ? row + 1 : 0, places };
}

/** Part of the drawing, so that a saved one has it, too. */
function drawLegend(names: readonly string[], colours: readonly string[], places: readonly Place[]): Element {
  const group = document.createElementNS(SVG, "g");
  names.forEach((name, index) => {
    const [x = 0, y = 0] = places[index] ?? [];
    const swatch = document.createElementNS(SVG, "rect");
    setAttributes(swatch, { x, y: y - 5, width: 12, height: 10, rx: 3, fill: colours[index] ?? "" });
    const text = document.createElementNS(SVG, "text");
    setAttributes(text, { x: x + 17, y, dy: "0.35em", fill: "currentColor", "text-anchor": "start" });
    text.textContent = name;
    group.append(swatch, text);
  });
  return group;
}

function setAttributes(element: Element, attributes: Readonly<Record<string, string | number>>): void {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}

function shortNumber(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  return Math.abs(value) < 1e-3 ? Number(value.toPrecision(3)).toExponential() : String(Number(value.toPrecision(4)));
}

/** What all names begin with, up to a dot. */
function commonPrefix(names: readonly string[]): string {
  const [first = "", ...others] = names;
  let end = first.lastIndexOf(".") + 1;
  while (!others.every((name) => name.startsWith(first.slice(0, end)))) end = first.lastIndexOf(".", end - 2) + 1;
  return first.slice(0, end);
}
