/** The fixtures of one adapter and what a merge of it must give, of every layout. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { merge } from "lora-tool";
import { expectMerged } from "../support/expect-merged.ts";

const FIXTURES = join(import.meta.dirname, "../../fixtures");

export interface Case {
  /** `peft/llama-lora` */
  readonly name: string;
  readonly base: string;
  readonly adapter: string;
  readonly expected: string;
  readonly config: Record<string, unknown>;
  readonly expertOrder: "expert-major" | undefined;
}

/** Cases of a layout, by name of the case. */
export function casesOf(layout: string): readonly Case[] {
  return readdirSync(join(FIXTURES, layout)).flatMap((name): Case[] => {
    const folder = join(FIXTURES, layout, name);
    const record = JSON.parse(readFileSync(join(folder, "case.json"), "utf8"));
    const [adapter, ...others] = record.adapters;
    if (record.expect !== "merge" || record.may_refuse || others.length > 0 || adapter.weight !== 1) return [];
    return [
      {
        name: `${layout}/${name}`,
        base: join(folder, record.base),
        adapter: join(folder, adapter.path),
        expected: join(folder, "expected.safetensors"),
        config: record.config,
        expertOrder: record.options?.expert_major ? "expert-major" : undefined,
      },
    ];
  });
}

/** The case of that name, `<layout>/<name>`. */
export function caseOf(name: string): Case {
  const [layout = ""] = name.split("/");
  const found = casesOf(layout).find((one) => one.name === name);
  if (found === undefined) throw new Error(`no case ${name}`);
  return found;
}

/** Merges a converted adapter into the case's base and compares with what the original must give. */
export async function expectSameMerge({ base, expected, config, expertOrder }: Case, adapter: string, out: string) {
  await merge({ base, adapters: [{ path: adapter }], out, workers: 1, expertOrder });
  await expectMerged(base, expected, out, config);
}
