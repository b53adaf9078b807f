/**
 * Every case of the layouts other than PEFT's, merged by the built package and compared with what numpy in double
 * precision says: changed tensors within rounding, all others byte for byte.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect, merge, verify } from "lora-tool";
import { describe, expect, test } from "vitest";
import { LAYOUTS } from "../../src/adapters/adapter.ts";
import { errorOfBuilt } from "../support/errors.ts";
import { expectMerged } from "../support/expect-merged.ts";
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

test("every layout has cases", () => {
  for (const layout of layouts) expect(merging.some(([name]) => name.startsWith(`${layout}/`))).toBe(true);
});

describe.each(merging)("%s", (name, one) => {
  test(one.description, async () => {
    const out = join(temporaryFolder(), "out");
    const options = optionsOf(name, one);
    await merge({ ...options, out, workers: 1 });

    const expectedPath = join(FIXTURES, name, "expected.safetensors");
    const { base, expected, merged } = await expectMerged(options.base, expectedPath, out, one.config);
    expect([...expected.keys()].sort()).toEqual([...one.changed]);
    expect([...merged.keys()].sort()).toEqual([...base.keys()].sort());
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
