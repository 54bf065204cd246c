/**
 * The page that every report stands in: one HTML file with nothing outside itself, no script, light and dark, wide and
 * narrow, readable on paper. Everything that comes from data passes through `text`.
 */
import type { Fact, Listing, Table } from "./data.ts";

/** Text escaped for HTML content and for double-quoted attributes. */
export function text(value: string): string {
  return value.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** @param body HTML, already escaped */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="bert2bert">
<title>${text(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`;
}

export function factList(facts: readonly Fact[]): string {
  if (facts.length === 0) return "";
  const items = facts.map(([label, value]) => `<div><dt>${text(label)}</dt><dd>${text(value)}</dd></div>`);
  return `<dl class="facts">${items.join("")}</dl>`;
}

export function tableOf(table: Table): string {
  const head = table.columns.map((column) => `<th scope="col">${text(column)}</th>`).join("");
  const rows = table.rows.map((row) => {
    const cells = row.map((cell, i) => (i === 0 ? `<th scope="row">${text(cell)}</th>` : `<td>${text(cell)}</td>`));
    return `<tr>${cells.join("")}</tr>`;
  });
  const note = table.note === undefined ? "" : `<p class="note">${text(table.note)}</p>`;
  return `<div class="table"><table><caption>${text(table.caption)}</caption><thead><tr>${head}</tr></thead><tbody>${rows.join("")}</tbody></table></div>${note}`;
}

export function paragraphs(all: readonly string[]): string {
  return all.map((paragraph) => `<p>${text(paragraph)}</p>`).join("\n");
}

/** What is opened by a click. @param body HTML, already escaped */
export function details(summary: string, body: string): string {
  return `<details><summary>${text(summary)}</summary>${body}</details>`;
}

export function listings(items: readonly Listing[]): string {
  return items.map((item) => details(item.title, `<pre>${text(item.text)}</pre>`)).join("\n");
}

/** Colours of curves: `c0` is the reference's, the rest tell apart for every kind of colour vision (after Okabe and Ito). */
export const COLOURS = 7;

/** A curve's colour by its number: 0 the reference's, then the others in turn, again from the first when they are used up. */
export function hue(colour: number): string {
  return `var(--c${colour === 0 ? 0 : 1 + ((colour - 1) % (COLOURS - 1))})`;
}

/** How a curve's line is broken, as an attribute: colours that are used again are told apart by it. */
export function dashOf(colour: number): string {
  const round = colour === 0 ? 0 : Math.floor((colour - 1) / (COLOURS - 1));
  const dashes = ["", "7 5", "2 4", "12 4 2 4"][round % 4];
  return dashes === "" ? "" : ` stroke-dasharray="${dashes}"`;
}

const COLOUR_STYLE = `:root { --paper: #fdfdfc; --ink: #1d2126; --soft: #5b6470; --line: #d9dce0; --faint: #eceef0; --panel: #f4f5f6;
  --c0: #6a727c; --c1: #0b62a8; --c2: #c04a00; --c3: #007a58; --c4: #a03a7c; --c5: #6453b3; --c6: #856400; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e6e8eb; --soft: #a0a8b2; --line: #3a4048;
  --faint: #262b31; --panel: #1d2126; --c0: #a3abb5; --c1: #68b3f7; --c2: #ff9a57; --c3: #41cf9f; --c4: #ee8fc2;
  --c5: #b2a4ff; --c6: #e3bd4a; } }`;

const LETTER_STYLE = `svg text { fill: var(--ink); }
svg .soft { fill: var(--soft); }
svg .halo { stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; paint-order: stroke; }`;

/** What a chart needs where it stands alone. */
export const PICTURE_STYLE = `${COLOUR_STYLE} svg { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-variant-numeric: tabular-nums; } ${LETTER_STYLE}`;

const STYLE = `
${COLOUR_STYLE}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", "Noto Sans", sans-serif; font-variant-numeric: tabular-nums lining-nums; }
main { max-width: 1040px; margin: 0 auto; padding: 40px 32px 72px; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 12px; text-wrap: balance; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 44px 0 8px; }
p { max-width: 68ch; margin: 0 0 12px; }
.note, figcaption { color: var(--soft); font-size: .875rem; max-width: 76ch; }
.savings { display: flex; flex-wrap: wrap; gap: 12px; margin: 24px 0 8px; padding: 0; list-style: none; }
.savings li { flex: 1 1 240px; max-width: 420px; background: var(--panel); border-radius: 8px; padding: 14px 18px; border-left: 4px solid
  var(--c, var(--line)); }
.savings strong { display: block; font-size: 1.9rem; line-height: 1.2; font-weight: 650; letter-spacing: -.02em; }
.savings span { color: var(--soft); font-size: .9rem; display: block; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 14px 24px; margin: 20px 0; }
.facts dt { color: var(--soft); font-size: .8125rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 16px 0 8px; }
svg { display: block; width: 100%; height: auto; font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  font-variant-numeric: tabular-nums; }
${LETTER_STYLE}
.narrow { display: none; }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; column-gap: 14px; padding: 0; font-size: .875rem; line-height: 34px; }
.bars li { display: contents; }
.bars li > span { text-align: right; }
.bars strong { font-weight: 600; text-align: right; }
.bars div { position: relative; height: 34px; }
.bars div > * { position: absolute; white-space: nowrap; }
.bars div > span { color: var(--soft); padding-left: 8px; }
.bars .tick { border-left: 1px solid var(--faint); height: 100%; }
.bars .bar { top: 8px; height: 18px; border-radius: 2px; opacity: .85; }
.bars .whisker { top: 12px; height: 10px; border: solid var(--ink); border-width: 0 1.5px; background: linear-gradient(var(--ink), var(--ink))
  center / 100% 1.5px no-repeat; }
.bars .mark { top: 4px; height: 26px; border-left: 2px dotted var(--ink); }
.bars .scale span { padding: 0; transform: translateX(-50%); font-size: .8125rem; line-height: 24px; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; list-style: none; margin: 8px 0; padding: 0; font-size: .875rem; clear: both; }
.legend svg { display: inline-block; width: 34px; height: 12px; margin-right: 6px; vertical-align: -1px; }
.legend label { cursor: pointer; line-height: 26px; }
.legend input:not(:checked) ~ * { opacity: .35; text-decoration: line-through; }
.legend input:focus-visible ~ span { outline: 2px solid var(--c1); outline-offset: 2px; }
.axes { margin: 16px 0 0; }
.axes .choice { display: inline-block; margin-right: 20px; }
.axes .choice > span { color: var(--soft); font-size: .875rem; padding-right: 12px; }
.axes input { position: absolute; opacity: 0; }
.choice label { display: inline-block; line-height: 28px; padding: 0 12px; margin: 0 4px 6px 0; border: 1px solid var(--line);
  border-radius: 15px; font-size: .875rem; cursor: pointer; }
.choice input:checked + label { background: var(--ink); color: var(--paper); border-color: var(--ink); }
.choice input:focus-visible + label { outline: 2px solid var(--c1); outline-offset: 2px; }
.axes figure { display: none; clear: both; }
.small + details { margin-top: 28px; }
.small { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 1fr)); gap: 8px 32px; }
.small h3 { font-size: .9375rem; margin: 16px 0 0; font-weight: 600; }
.table { overflow-x: auto; margin: 12px 0 4px; }
table { border-collapse: collapse; min-width: 100%; font-size: .9375rem; }
caption { text-align: left; color: var(--soft); font-size: .875rem; padding-bottom: 6px; }
th, td { padding: 7px 0 7px 22px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap;
  font-weight: 400; vertical-align: baseline; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--soft); font-size: .8125rem; white-space: normal; vertical-align: bottom; line-height: 1.3; }
tbody th { font-weight: 550; white-space: normal; min-width: 9em; }
details { border-top: 1px solid var(--line); padding: 10px 0; }
details:last-of-type { border-bottom: 1px solid var(--line); }
summary { cursor: pointer; }
pre { overflow-x: auto; background: var(--panel); border-radius: 6px; padding: 14px 16px; font: .8125rem/1.5 ui-monospace,
  SFMono-Regular, Menlo, Consolas, monospace; }
.notes { max-width: 76ch; margin: 0 0 12px; padding-left: 20px; }
.notes li { margin: 4px 0; }
footer { margin-top: 48px; color: var(--soft); font-size: .875rem; }
@media (max-width: 720px) { main { padding: 24px 16px 48px; } h1 { font-size: 1.4rem; } .wide { display: none; }
  .narrow { display: block; }
  .bars { grid: auto-flow dense / 1fr max-content; line-height: 24px; } .bars div { grid-column: 1 / 3; }
  .bars li > span { text-align: left; } .bars .scale > span { display: none; } th, td { padding-left: 14px; }
  .facts { grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); } }
@media print { body { background: none; } .choice { display: none; } }
`;
