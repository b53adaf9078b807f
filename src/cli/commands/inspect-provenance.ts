/**
 * The metadata entry that a merge leaves in its output, in words. The text is from a file and may be anything.
 */

import { escapeText } from "../../core/text.ts";
import { formatRange } from "../format.ts";

/** One line for each adapter: what it was, its scale, and the start of its weights' hash; none for text of another kind. */
export function describeProvenance(text: string): string[] {
  const { version, method, adapters } = parseRecord(text);
  if (typeof version !== "string" || typeof method !== "string" || !Array.isArray(adapters)) return [];
  return adapters.map((adapter) => {
    const { method: kind, modules, scale, weight, files } = asRecord(adapter);
    const { name, sha256 } = asRecord(Array.isArray(files) ? files[0] : undefined);
    const range = Array.isArray(scale) ? scale.filter((value) => typeof value === "number") : [];
    const words = `${kind} of ${modules} modules, scale ${formatRange(range)}${weight === 1 ? "" : `, weight ${weight}`}`;
    return escapeText(`${method}: ${words}, ${name} ${String(sha256).slice(0, 12)}…, by lora-tool ${version}`);
  });
}

function parseRecord(text: string): Record<string, unknown> {
  try {
    return asRecord(JSON.parse(text));
  } catch {
    return {};
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
