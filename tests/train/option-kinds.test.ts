/** What callers without a compiler get wrong, before any file is opened. */

import { type SweepOptions, sweep, type TrainOptions, train } from "lora-tool";
import { describe, expect, it } from "vitest";
import { errorOfBuilt } from "../support/errors.ts";

const PATHS = { base: "absent", data: "absent.jsonl", out: "absent-too" };

describe("wrong options of train and sweep", () => {
  it.each([
    [{ ...PATHS, batch_size: 4 }, "batch_size", "did you mean batchSize?"],
    [{ ...PATHS, rank: "8" }, "rank", undefined],
    [{ ...PATHS, scaling: "dora" }, "scaling", undefined],
    [{ ...PATHS, betas: [0.9] }, "betas", undefined],
    [{ ...PATHS, rankPattern: "q_proj=4" }, "rankPattern", undefined],
    [{ ...PATHS, device: "gpu" }, "device", undefined],
    [{ data: "rows.jsonl", out: "out" }, "base", undefined],
  ])("are refused by train: %j", async (options, subject, hint) => {
    const error = await errorOfBuilt(() => train(options as unknown as TrainOptions));
    expect(error).toMatchObject({ code: "INVALID_OPTION", subject, hint });
  });

  it.each([
    [{ ...PATHS }, "ranks"],
    [{ ...PATHS, ranks: 8 }, "ranks"],
    [{ ...PATHS, ranks: [8], rank: 8 }, "rank"],
    [{ ...PATHS, ranks: [8], scalings: "lora" }, "scalings"],
    [{ ...PATHS, ranks: [8], part: { index: 3, count: 2 } }, "part"],
  ])("are refused by sweep: %j", async (options, subject) => {
    const error = await errorOfBuilt(() => sweep(options as unknown as SweepOptions));
    expect(error).toMatchObject({ code: "INVALID_OPTION", subject });
  });
});
