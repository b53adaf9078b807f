/**
 * How a report looks: one column on a phone, two on a desk, light or dark as the system says, black on white in print.
 */

export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #1c2430; --soft: #5b6675; --line: #e1e5ea; --accent: #3557d6;
  --good: #1a7f4b; --bad: #b3372f; --open: #8a6100;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1318; --card: #171d24; --ink: #e6eaf0; --soft: #9aa6b5; --line: #29323d; --accent: #8ea6ff;
    --good: #5fcf95; --bad: #ff8a80; --open: #e8b84a;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; -webkit-text-size-adjust: 100%;
}
main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 64px; }
header { margin-bottom: 20px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 36px 0 12px; letter-spacing: -0.005em; }
h3 { font-size: 15px; margin: 0; }
header p { margin: 0; color: var(--soft); max-width: 75ch; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 12px; margin: 0; }
.facts div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.facts dt { color: var(--soft); font-size: 12.5px; }
.facts dd { margin: 2px 0 0; font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 16px; grid-auto-flow: dense; }
.charts .wide { grid-column: 1 / -1; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px; min-width: 0; }
figure .bar { display: flex; align-items: baseline; justify-content: space-between; gap: 12px; }
figure button {
  font: inherit; font-size: 12px; color: var(--soft); background: none; border: 1px solid var(--line);
  border-radius: 6px; padding: 1px 8px; cursor: pointer;
}
figure button:hover { color: var(--ink); border-color: var(--soft); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.plot { margin-top: 10px; min-height: 120px; overflow-x: auto; }
.plot svg { display: block; max-width: none; overflow: visible; --plot-background: var(--card); }
figcaption { margin-top: 8px; color: var(--soft); font-size: 13px; }
.table { background: var(--card); border: 1px solid var(--line); border-radius: 12px; margin-top: 12px; overflow: hidden; }
.table p { margin: 0; padding: 12px 14px 4px; color: var(--soft); font-size: 13px; max-width: 90ch; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 14px; text-align: left; border-top: 1px solid var(--line); vertical-align: top; }
thead th { border-top: 0; font-size: 12.5px; color: var(--soft); font-weight: 600; white-space: nowrap; }
td { white-space: nowrap; }
td.long { white-space: normal; min-width: 26ch; overflow-wrap: anywhere; }
.findings { list-style: none; margin: 0; padding: 0; display: grid; gap: 12px; }
.findings li {
  background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--open);
  border-radius: 10px; padding: 12px 16px;
}
.findings li.holds { border-left-color: var(--good); }
.findings li.fails { border-left-color: var(--bad); }
.findings strong { color: var(--open); }
.findings .holds strong { color: var(--good); }
.findings .fails strong { color: var(--bad); }
.findings p { margin: 4px 0 0; color: var(--soft); }
footer { margin-top: 40px; color: var(--soft); font-size: 12.5px; }
noscript { display: block; padding: 12px 0; color: var(--soft); }
@media (max-width: 560px) {
  main { padding: 20px 12px 40px; }
  h1 { font-size: 21px; }
  .facts { grid-template-columns: 1fr 1fr; gap: 8px; }
  figure { padding: 12px 10px; }
}
@media print { body { background: none; } figure, .facts div { break-inside: avoid; } figure button { display: none; } }
`;
