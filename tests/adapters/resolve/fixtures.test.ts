/**
 * Every case of fixtures/peft that merges: adapter and base are resolved, the edits are made by the reference executor and
 * compared with what PEFT (or double precision where PEFT is wrong) makes of them; see `case.json` of each.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { describeArchitecture } from "../../../src/adapters/architecture/architecture.ts";
import type { ResolvedAdapter, TensorEdit } from "../../../src/adapters/edit.ts";
import { openAdapter } from "../../../src/adapters/open-adapter.ts";
import { resolveAdapter } from "../../../src/adapters/resolve/resolve.ts";
import { roundTo } from "../../../src/core/cast/float-codec.ts";
import { isFloatDtype } from "../../../src/core/dtype.ts";
import { openModel } from "../../../src/formats/open-model.ts";
import { openSafetensors } from "../../../src/formats/safetensors/reader.ts";
import { applyEdits, numbersOf } from "../../reference/apply-edits.ts";

const FOLDER = join(import.meta.dirname, "../../../fixtures/peft");

interface Case {
  readonly expect: unknown;
  readonly base: string;
  readonly adapters: readonly { readonly path: string; readonly weight: number }[];
  readonly changed: readonly string[];
  readonly added: readonly string[];
  readonly config: Record<string, unknown>;
  readonly options?: { readonly expert_major?: boolean };
  readonly may_refuse?: boolean;
}

/** What the layout reader does not read: refused there. */
const REFUSED_BY_LAYOUT = new Set(["kasa", "pattern-python-syntax"]);

const cases = readdirSync(FOLDER)
  .filter((name) => existsSync(join(FOLDER, name, "expected.safetensors")))
  .filter((name) => !REFUSED_BY_LAYOUT.has(name));

async function resolveCase(name: string) {
  const folder = join(FOLDER, name);
  const spec = JSON.parse(readFileSync(join(folder, "case.json"), "utf8")) as Case;
  const base = await openModel(join(folder, spec.base));
  const resolved: ResolvedAdapter[] = [];
  for (const { path, weight } of spec.adapters) {
    const adapter = await openAdapter(join(folder, path));
    const expertOrder = spec.options?.expert_major === true ? { expertOrder: "expert-major" as const } : {};
    resolved.push(await resolveAdapter(adapter, base, { weight, ...expertOrder }));
  }
  return { spec, base, resolved, tie: describeArchitecture(base).tie };
}

describe("adapters of PEFT", () => {
  it("has cases", () => expect(cases.length).toBeGreaterThan(80));

  it.each(cases)("%s resolves to the expected weights", async (name) => {
    const { spec, base, resolved, tie } = await resolveCase(name);
    for (const { problems, unmatched } of resolved) expect([...problems, ...unmatched]).toEqual([]);
    const all = resolved.flatMap(({ edits }) => edits);
    const ends = tie === undefined ? [] : [tie.input, tie.output];
    const unties = all.some((edit) => ends.includes(edit.tensor) && !edit.bothEnds);
    expect(unties).toBe(spec.config["tie_word_embeddings"] === false);
    const stored = base.store.tensors;
    const targetOf = (edit: TensorEdit): string =>
      edit.bothEnds && tie !== undefined && !stored.has(edit.tensor) ? tie.input : edit.tensor;

    const expected = openSafetensors(join(FOLDER, name, "expected.safetensors"));
    const edited = new Set(all.map(targetOf));
    for (const tensor of expected.tensors.values()) {
      const edits = all.filter((edit) => targetOf(edit) === tensor.name);
      const source = stored.get(tensor.name) ?? (tie === undefined ? undefined : stored.get(tie.input));
      const values = applyEdits(source, edits);
      const wanted = numbersOf(tensor);
      expect(values.length).toBe(wanted.length);
      const { dtype } = tensor;
      if (!isFloatDtype(dtype)) throw new Error(dtype);
      const tolerance = edits.some((edit) => edit.steps.some((step) => step.kind === "residual")) ? 1e-5 : 2e-7;
      let worst = 0;
      for (const [index, value] of values.entries()) {
        const error = Math.abs(roundTo(dtype, value) - (wanted[index] ?? Number.NaN));
        worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
      }
      const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      expect(worst, tensor.name).toBeLessThanOrEqual(tolerance * largest);
      edited.delete(tensor.name);
    }
    // Whatever is edited and not expected must come out as it was: nothing but saved copies of the base.
    for (const tensor of edited) expect(spec.changed.concat(spec.added)).toContain(tensor);
  });

  it.each(cases)("%s accounts for every tensor", async (name) => {
    const folder = join(FOLDER, name);
    const { spec, resolved } = await resolveCase(name);
    for (const [index, { used }] of resolved.entries()) {
      const adapter = await openAdapter(join(folder, spec.adapters[index]?.path ?? ""));
      expect([...adapter.tensors.keys()].filter((tensor) => !used.has(tensor))).toEqual([]);
    }
  });
});
