/** What callers without a compiler get wrong in calls that work on files, before any file is opened. */

import { join } from "node:path";
import {
  combine,
  convert,
  extract,
  InterruptedError,
  inspect,
  type MergeOptions,
  merge,
  rescale,
  resize,
  verify,
} from "lora-tool";
import { describe, expect, it } from "vitest";
import { errorOfBuilt } from "./support/errors.ts";

const CALLS = { merge, verify, combine, rescale, resize, extract, convert, inspect } as unknown as Readonly<
  Record<string, (options: unknown) => Promise<unknown>>
>;
const INPUTS = { base: "absent", adapters: [{ path: "absent" }] };

describe("wrong options of calls on files", () => {
  it.each([
    ["merge", {}, "base"],
    ["merge", undefined, undefined],
    ["merge", { ...INPUTS, adapters: ["absent"], out: "out" }, "adapters"],
    ["merge", { ...INPUTS, adapters: [{ path: "absent", weigth: 2 }], out: "out" }, "adapters"],
    ["merge", { ...INPUTS, adapters: [{ path: "absent", weight: "2" }], out: "out" }, "adapters"],
    ["merge", INPUTS, "out"],
    ["merge", { ...INPUTS, out: "out", dtype: "fp16" }, "dtype"],
    ["merge", { ...INPUTS, out: "out", map: { module: 1 } }, "map"],
    ["merge", { ...INPUTS, out: "out", maxShardSize: true }, "maxShardSize"],
    ["verify", INPUTS, "merged"],
    ["verify", { ...INPUTS, merged: "absent", out: "out" }, "out"],
    ["combine", { out: "out" }, "adapters"],
    ["combine", { ...INPUTS, out: "out" }, "base"],
    ["rescale", { adapter: "absent", to: "lora" }, "out"],
    ["rescale", { adapter: "absent", out: "out" }, "to"],
    ["resize", { adapter: "absent", out: "out", rank: "4" }, "rank"],
    ["extract", { base: "absent", out: "out", rank: 4 }, "tuned"],
    ["extract", { base: "absent", tuned: "absent", out: "out", rank: 4, dtype: "f64" }, "dtype"],
    ["convert", { input: "absent", out: "out" }, "to"],
    ["convert", { input: ["absent"], to: "peft", out: "out" }, "input"],
    ["inspect", "absent", undefined],
    ["inspect", {}, "path"],
  ])("are refused by %s: %j", async (command, options, subject) => {
    const error = await errorOfBuilt(() => CALLS[command]?.(options));
    expect(error).toMatchObject({ name: "UsageError", code: "INVALID_OPTION", subject });
  });

  it("are told apart from right ones by what was meant", async () => {
    const options = { ...INPUTS, out: "out", dry_run: true } as MergeOptions;
    expect(await errorOfBuilt(() => merge(options))).toMatchObject({ hint: "did you mean dryRun?" });
  });
});

describe("inspect", () => {
  it("stops when the signal has come, and says when it has read all tensors", async () => {
    const path = join(import.meta.dirname, "../fixtures/stories260K");
    await expect(inspect({ path, signal: AbortSignal.abort() })).rejects.toThrow(InterruptedError);
    const events: unknown[] = [];
    const { tensors } = await inspect({ path, onProgress: (event) => events.push(event) });
    expect(events).toEqual([{ phase: "plan", done: tensors.length, total: tensors.length, unit: "tensors" }]);
  });
});
