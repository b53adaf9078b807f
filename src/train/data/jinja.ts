/**
 * Jinja as chat templates need it: @huggingface/jinja, and what it leaves out of Python's texts.
 *
 * Its `strip`, `lstrip` and `rstrip` take all white space whatever characters they are given, so that Qwen 3's
 * `content.lstrip('\n')` would drop the indentation of code. Calls with characters are turned into calls of a function.
 */

import { Template } from "@huggingface/jinja";

const SIDES = ["strip", "lstrip", "rstrip"] as const;
type Side = (typeof SIDES)[number];

/** No template has variables of such names. */
const PREFIX = "__python_";

/** Compiles a template. */
export function parseTemplate(source: string): Template {
  const template = new Template(source);
  replaceStrips(template.parsed);
  return template;
}

/** What the template makes of the variables. */
export function renderTemplate(template: Template, variables: Readonly<Record<string, unknown>>): string {
  return template.render({ ...variables, ...FUNCTIONS });
}

const FUNCTIONS = Object.fromEntries(
  SIDES.map((side) => [`${PREFIX}${side}`, (text: unknown, characters: unknown) => strip(side, text, characters)]),
);

/** Python's `str.strip(characters)`. */
function strip(side: Side, text: unknown, characters: unknown): string {
  if (typeof text !== "string" || typeof characters !== "string") {
    throw new Error(`${side}: expected texts, got ${typeof text} and ${typeof characters}`);
  }
  const taken = new Set(characters);
  const symbols = [...text];
  const first = side === "rstrip" ? 0 : symbols.findIndex((symbol) => !taken.has(symbol));
  if (first < 0) return "";
  const last = side === "lstrip" ? symbols.length - 1 : symbols.findLastIndex((symbol) => !taken.has(symbol));
  return symbols.slice(first, last + 1).join("");
}

interface Node {
  readonly type?: unknown;
  readonly computed?: unknown;
  readonly object?: unknown;
  readonly property?: { value?: unknown };
  args?: unknown;
  callee?: unknown;
}

/** `text.strip(characters)` → `__python_strip(text, characters)`, wherever it stands in a parsed template. */
function replaceStrips(tree: unknown): void {
  if (typeof tree !== "object" || tree === null) return;
  const parts = tree instanceof Map ? [...tree.keys(), ...tree.values()] : Object.values(tree);
  for (const part of parts) replaceStrips(part);
  const call: Node = tree;
  const callee = call.callee as Node | undefined;
  const property = callee?.property;
  const isStrip = SIDES.some((side) => side === property?.value);
  const isMethod = callee?.type === "MemberExpression" && callee.computed === false;
  if (call.type !== "CallExpression" || !isMethod || !isStrip || !Array.isArray(call.args)) return;
  if (property === undefined || call.args.length !== 1) return;
  property.value = `${PREFIX}${property.value}`;
  call.args = [callee.object, ...call.args];
  call.callee = property;
}
