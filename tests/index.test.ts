/** The public API as a program in TypeScript sees it: `tsc -p tests` compiles what is never run here. */

import * as api from "lora-tool";
import { expect, expectTypeOf, test } from "vitest";

const run: api.RunOptions = {
  signal: new AbortController().signal,
  onProgress: ({ phase, done, total }: api.ProgressEvent) => [phase satisfies api.ProgressPhase, done / total],
};

test("the package exports one function for each command, the errors and the version", () => {
  const commands = [
    "combine",
    "convert",
    "extract",
    "inspect",
    "merge",
    "rescale",
    "resize",
    "sweep",
    "train",
    "verify",
  ];
  const errors = Object.keys(api).filter((name) => name.endsWith("Error"));
  expect(Object.keys(api).sort()).toEqual([...commands, ...errors, "VERSION"].sort());
  expect(errors).toHaveLength(9);
});

test("each command takes its options with signal and progress, and returns the report of its name", () => {
  const calls = {
    merge: () => api.merge({ base: "a", adapters: [{ path: "b", weight: 2 }], out: "c", maxShardSize: "5GB", ...run }),
    verify: () => api.verify({ base: "a", adapters: [{ path: "b" }], merged: "c", ...run }),
    rescale: () => api.rescale({ adapter: "a", to: "rslora", out: "b", ...run }),
    resize: () => api.resize({ adapter: "a", rank: 4, out: "b", ...run }),
    combine: () => api.combine({ adapters: [{ path: "a" }], method: "ties", out: "b", ...run }),
    extract: () => api.extract({ base: "a", tuned: "b", energy: 0.9, out: "c", ...run }),
    convert: () => api.convert({ input: "a", to: "gguf", base: "b", out: "c", ...run }),
    inspect: () => api.inspect({ path: "a", ...run }),
    train: () => api.train({ base: "a", data: "b", out: "c", betas: [0.9, 0.99], onEvent: describeEvent, ...run }),
    sweep: () => api.sweep({ base: "a", data: "b", out: "c", ranks: [4, 8], ...run }),
  };
  expectTypeOf(calls.merge).returns.resolves.toEqualTypeOf<api.MergeReport>();
  expectTypeOf(calls.verify).returns.resolves.toEqualTypeOf<api.VerifyReport>();
  expectTypeOf(calls.rescale).returns.resolves.toEqualTypeOf<api.RescaleReport>();
  expectTypeOf(calls.resize).returns.resolves.toEqualTypeOf<api.ResizeReport>();
  expectTypeOf(calls.combine).returns.resolves.toEqualTypeOf<api.CombineReport>();
  expectTypeOf(calls.extract).returns.resolves.toEqualTypeOf<api.ExtractReport>();
  expectTypeOf(calls.convert).returns.resolves.toEqualTypeOf<api.AdapterConversion | api.ModelConversion>();
  expectTypeOf(calls.inspect).returns.resolves.toEqualTypeOf<api.InspectedAdapter | api.InspectedModel>();
  expectTypeOf(calls.train).returns.resolves.toEqualTypeOf<api.TrainReport>();
  expectTypeOf(calls.sweep).returns.resolves.toEqualTypeOf<api.SweepReport>();
});

/** Compiles as long as events are told apart by their kind and none is forgotten. */
function describeEvent(event: api.TrainEvent): string {
  switch (event.kind) {
    case "step":
      return `${(event satisfies api.StepEvent).loss} ${event.evaluation?.perplexity}`;
    case "checkpoint":
      return (event satisfies api.CheckpointEvent).path;
    case "warning":
      return (event satisfies api.WarningEvent).message;
  }
}

test("what options take and reports hold has names", () => {
  expectTypeOf<api.MergeOptions["method"]>().toEqualTypeOf<api.MethodName | undefined>();
  expectTypeOf<api.MergeOptions["dtype"]>().toEqualTypeOf<api.OutputDtype | undefined>();
  expectTypeOf<api.MergeOptions["device"]>().toEqualTypeOf<api.DeviceName | undefined>();
  expectTypeOf<api.ResizeOptions["dtype"]>().toEqualTypeOf<api.FactorDtypeWish | undefined>();
  expectTypeOf<api.TrainOptions["scheduler"]>().toEqualTypeOf<api.Scheduler | undefined>();
  expectTypeOf<api.TrainOptions["init"]>().toEqualTypeOf<api.InitialisationName | undefined>();
  expectTypeOf<api.ConvertOptions["to"]>().toEqualTypeOf<api.ConvertTarget>();
  expectTypeOf<api.MergeReport["plan"]>().toEqualTypeOf<readonly api.PlannedRow[] | undefined>();
  expectTypeOf<api.VerifyReport["worst"]>().toEqualTypeOf<readonly api.VerifiedTensor[]>();
  expectTypeOf<api.RescaleReport["modules"]>().toEqualTypeOf<readonly api.RescaledModule[]>();
  expectTypeOf<api.TrainReport["data"]>().toEqualTypeOf<api.DataSummary>();
  expectTypeOf<api.SweepReport["cells"]>().toEqualTypeOf<readonly api.CellReport[] | undefined>();
  expectTypeOf<api.LoraToolError["code"]>().toEqualTypeOf<api.ErrorCode>();
});
