/**
 * Every case of the layouts other than PEFT's, merged by the built package and compared with what numpy in double
 * precision says: changed tensors within rounding, all others byte for byte.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect, merge, verify } from "lora-tool";
import { describe, expect, test } from "vitest";
import { LAYOUTS } from "../../src/adapters/adapter.ts";
import { type FloatDtype, isFloatDtype } from "../../src/core/dtype.ts";
import { readTensorBytes } from "../../src/formats/byte-source.ts";
import { openModel } from "../../src/formats/open-model.ts";
import { openSafetensors } from "../../src/formats/safetensors/reader.ts";
import { ulpAt } from "../../src/merge/verify-rows.ts";
import { errorOfBuilt } from "../support/errors.ts";
import { numbersOf } from "../support/read-tensor.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");

interface Case {
  readonly description: string;
  readonly expect: "merge" | { readonly error: string };
  readonly base: string;
  readonly adapters: readonly { readonly path: string; readonly weight: number }[];
  readonly changed: readonly string[];
  readonly config: Record<string, unknown>;
}

const layouts = LAYOUTS.filter((layout) => layout !== "peft");

const cases = layouts.flatMap((layout) =>
  readdirSync(join(FIXTURES, layout)).map((name): [string, Case] => [
    `${layout}/${name}`,
    JSON.parse(readFileSync(join(FIXTURES, layout, name, "case.json"), "utf8")),
  ]),
);
const merging = cases.filter(([, one]) => one.expect === "merge");
const refused = cases.flatMap(([name, one]) =>
  one.expect === "merge" ? [] : [[name, one, one.expect.error] as const],
);

function optionsOf(name: string, { base, adapters }: Case) {
  return {
    base: join(FIXTURES, name, base),
    adapters: adapters.map(({ path, weight }) => ({ path: join(FIXTURES, name, path), weight })),
  };
}

/** Ulp of the output's dtype that f32 sums and one rounding may be away, at the size of the tensor's numbers. */
const ALLOWED_ULP: Record<FloatDtype, number> = { f64: 0, f32: 16, f16: 1, bf16: 1, f8_e4m3fn: 1, f8_e5m2: 1 };

test("every layout has cases", () => {
  for (const layout of layouts) expect(merging.some(([name]) => name.startsWith(`${layout}/`))).toBe(true);
});

describe.each(merging)("%s", (name, one) => {
  test(one.description, async () => {
    const out = join(temporaryFolder(), "out");
    const options = optionsOf(name, one);
    await merge({ ...options, out, workers: 1 });

    const expected = openSafetensors(join(FIXTURES, name, "expected.safetensors")).tensors;
    const base = (await openModel(options.base)).store.tensors;
    const merged = (await openModel(out)).store.tensors;
    expect([...expected.keys()].sort()).toEqual([...one.changed]);
    expect([...merged.keys()].sort()).toEqual([...base.keys()].sort());
    for (const [tensorName, tensor] of merged) {
      const right = expected.get(tensorName);
      if (right === undefined) {
        const own = base.get(tensorName);
        expect(own && Buffer.compare(readTensorBytes(own), readTensorBytes(tensor)), tensorName).toBe(0);
        continue;
      }
      expect([tensor.dtype, tensor.shape], tensorName).toEqual([right.dtype, right.shape]);
      if (!isFloatDtype(tensor.dtype)) throw new Error(tensorName);
      const [found, wanted] = [numbersOf(tensor), numbersOf(right)];
      const size = Math.sqrt(wanted.reduce((sum, value) => sum + value * value, 0) / wanted.length);
      for (const [index, value] of found.entries()) {
        const want = wanted[index] ?? Number.NaN;
        const ulp = ulpAt(tensor.dtype, Math.max(Math.abs(want), size));
        if (!(Math.abs(value - want) <= ALLOWED_ULP[tensor.dtype] * ulp)) {
          throw new Error(`${tensorName}[${index}]: expected ${want}, got ${value}`);
        }
      }
    }
    const config = join(out, "config.json");
    if (existsSync(config)) expect(JSON.parse(readFileSync(config, "utf8"))).toMatchObject(one.config);
    expect((await verify({ ...options, merged: out, workers: 1 })).passed).toBe(true);
  });
});

describe.each(merging)("inspect of %s", (name, one) => {
  test("reads the adapter as one of its layout", async () => {
    const [adapter] = optionsOf(name, one).adapters;
    const report = await inspect({ path: adapter?.path ?? "" });
    expect(report).toMatchObject({ kind: "adapter", layout: name.slice(0, name.indexOf("/")) });
  });
});

if (refused.length > 0) {
  describe.each(refused)("%s", (name, one, reason) => {
    test(`is refused: ${one.description}`, async () => {
      const folder = temporaryFolder();
      const error = await errorOfBuilt(() => merge({ ...optionsOf(name, one), out: join(folder, "out"), workers: 1 }));
      expect(`${error.message} ${error.hint}`).toContain(reason);
      expect(readdirSync(folder)).toEqual([]);
    });
  });
}

test("a GGUF base is refused, and nothing is written", async () => {
  const folder = temporaryFolder();
  const path = join(FIXTURES, "gguf/llama/adapter.gguf");
  const error = await errorOfBuilt(() => merge({ base: path, adapters: [{ path }], out: join(folder, "out") }));
  expect(error.message).toContain("a base of format gguf");
  expect(readdirSync(folder)).toEqual([]);
});
