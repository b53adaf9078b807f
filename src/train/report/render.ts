/**
 * The content of a report → one HTML file that needs nothing else: no network, no other file, no server.
 *
 * Words and tables are there without a program; charts are drawn by the scripts inside the file from JSON inside the
 * file. The Content-Security-Policy lets run those scripts only, by their hashes, and forbids every request.
 */

import { VERSION } from "../../core/version.ts";
import type { Chart } from "./chart.ts";
import { type Block, type ReportDocument, type Section, VERDICTS } from "./document.ts";
import { embedJson, escapeHtml } from "./html.ts";
import { readPageScripts } from "./page-scripts.ts";
import { plottable } from "./plottable.ts";
import { STYLE } from "./style.ts";

export function renderDocument({ title, lead, sections }: ReportDocument): string {
  const scripts = readPageScripts();
  const policy = [
    "default-src 'none'",
    `script-src ${scripts.map(({ hash }) => `'${hash}'`).join(" ")}`,
    "style-src 'unsafe-inline'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const charts: Chart[] = [];
  const body = sections.map((section) => renderSection(section, charts)).join("");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="lora-tool ${VERSION}">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<header><h1>${escapeHtml(title)}</h1><p>${escapeHtml(lead)}</p></header>
<noscript>The charts are drawn by a script inside this file, which this browser does not run.</noscript>
${body}<footer>Written by lora-tool ${VERSION}. Charts by Observable Plot and D3 (ISC).</footer>
</main>
<script type="application/json" id="charts">${embedJson(charts)}</script>
${scripts.map(({ text, type }) => `<script type="${type}">${text}</script>`).join("\n")}
</body>
</html>
`;
}

function renderSection({ title, blocks }: Section, charts: Chart[]): string {
  const content = blocks.map((block) => renderBlock(block, charts)).join("\n");
  return `<section>${title === "" ? "" : `<h2>${escapeHtml(title)}</h2>`}\n${content}\n</section>\n`;
}

/** Charts are collected, too: the page draws the n-th of them into the n-th figure. */
function renderBlock(block: Block, charts: Chart[]): string {
  switch (block.kind) {
    case "facts": {
      const items = block.facts.map(
        ({ label, value }) => `<div><dt>${escapeHtml(label)}</dt><dd>${escapeHtml(value)}</dd></div>`,
      );
      return `<dl class="facts">${items.join("")}</dl>`;
    }
    case "charts":
      return `<div class="charts">${block.charts.map((chart) => renderFigure(chart, charts.push(plottable(chart)))).join("\n")}</div>`;
    case "table":
      return renderTable(block.caption, block.head, block.rows);
    case "findings": {
      const items = block.findings.map(
        ({ verdict, claim, evidence }) =>
          `<li class="${verdict}"><strong>${VERDICTS[verdict]}</strong> · ${escapeHtml(claim)}<p>${escapeHtml(evidence)}</p></li>`,
      );
      return `<ul class="findings">${items.join("\n")}</ul>`;
    }
  }
}

function renderFigure(chart: Chart, number: number): string {
  const wide = chart.kind === "cells" || chart.panels.length > 1;
  return `<figure${wide ? ' class="wide"' : ""} aria-labelledby="title-${number}" aria-describedby="caption-${number}">
<div class="bar"><h3 id="title-${number}">${escapeHtml(chart.title)}</h3><button type="button" aria-label="Save ${escapeHtml(chart.title)} as SVG">SVG</button></div>
<div class="plot"></div>
<figcaption id="caption-${number}">${escapeHtml(chart.caption)}</figcaption>
</figure>`;
}

/** Characters from which on a cell may break into lines. */
const LONG_CELL = 40;

function renderTable(caption: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const open = (cell: string) => (cell.length > LONG_CELL ? '<td class="long">' : "<td>");
  const cells = (row: readonly string[]) => row.map((cell) => `${open(cell)}${escapeHtml(cell)}</td>`).join("");
  const label = escapeHtml(caption);
  return `<div class="table"><p>${label}</p>
<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table aria-label="${label}">
<thead><tr>${head.map((cell) => `<th scope="col">${escapeHtml(cell)}</th>`).join("")}</tr></thead>
<tbody>${rows.map((row) => `<tr>${cells(row)}</tr>`).join("\n")}</tbody></table></div></div>`;
}
