/**
 * Every case under fixtures/peft, merged by the built package and compared with what PEFT and NumPy in double precision
 * say: changed tensors within rounding, all others byte for byte, config.json as it must be.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect, merge, UnsupportedError, verify } from "lora-tool";
import { describe, expect, test } from "vitest";
import { errorOfBuilt } from "../support/errors.ts";
import { expectMerged } from "../support/expect-merged.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const CASES = join(import.meta.dirname, "../../fixtures/peft");

interface Case {
  readonly description: string;
  readonly expect: "merge" | { readonly error: string };
  readonly base: string;
  readonly adapters: readonly { readonly path: string; readonly weight: number }[];
  readonly changed: readonly string[];
  readonly added: readonly string[];
  readonly config: Record<string, unknown>;
  readonly options?: { readonly expert_major?: true };
  /** What PEFT can do and nobody must: a refusal that names it will do. */
  readonly may_refuse?: boolean;
}

const cases = readdirSync(CASES).map((name): [string, Case] => [
  name,
  JSON.parse(readFileSync(join(CASES, name, "case.json"), "utf8")),
]);

function optionsOf(name: string, { base, adapters, options }: Case) {
  return {
    base: join(CASES, name, base),
    adapters: adapters.map(({ path, weight }) => ({ path: join(CASES, name, path), weight })),
    ...(options?.expert_major && { expertOrder: "expert-major" as const }),
  };
}

describe.each(cases.filter(([, { expect }]) => expect === "merge"))("%s", (name, one) => {
  test(one.description, async () => {
    const out = join(temporaryFolder(), "out");
    const options = optionsOf(name, one);
    try {
      await merge({ ...options, out, workers: 1 });
    } catch (error) {
      if (!one.may_refuse || !(error instanceof UnsupportedError)) throw error;
      expect(existsSync(out)).toBe(false);
      return;
    }

    const expectedPath = join(CASES, name, "expected.safetensors");
    const result = await expectMerged(options.base, expectedPath, out, one.config);
    const { base, expected, merged, elements, different } = result;
    expect([...merged.keys()].sort()).toEqual([...new Set([...base.keys(), ...expected.keys()])].sort());
    // 16-bit results are those of exact sums, but for the rare sum that lies next to a rounding boundary.
    if ([...expected.values()].every(({ dtype }) => dtype !== "f32")) {
      expect(different).toBeLessThanOrEqual(Math.max(1, elements / 10_000));
    }
    expect((await verify({ ...options, merged: out, workers: 1 })).passed).toBe(true);
  });
});

describe.each(cases.filter(([, { expect }]) => expect !== "merge"))("%s", (name, one) => {
  test(`is refused: ${one.description}`, async () => {
    const folder = temporaryFolder();
    const options = optionsOf(name, one);
    const error = await errorOfBuilt(() => merge({ ...options, out: join(folder, "out"), workers: 1 }));
    expect(error.code).not.toBe("INTERRUPTED");
    expect(`${error.message} ${error.hint}`).toMatch(/adapter|refuse-|conv2d-groups/);
    expect(readdirSync(folder)).toEqual([]);
  });
});

test("inspect reads every adapter that merges", async () => {
  for (const [name, one] of cases) {
    if (one.expect !== "merge" || one.may_refuse) continue;
    for (const { path } of optionsOf(name, one).adapters) expect((await inspect({ path })).kind).toBe("adapter");
  }
});
