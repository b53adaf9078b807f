import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { crc32c } from "../../../src/train/report/crc32c.ts";
import type { StepRecord } from "../../../src/train/report/run-record.ts";
import { encodeEventHeader, encodeStepEvent, eventFileName } from "../../../src/train/report/tensorboard.ts";

const GOLDEN = join(import.meta.dirname, "../../../fixtures/train/tensorboard/events.out.tfevents.golden");

const MODULES = ["model.layers.0.self_attn.q_proj", "model.layers.0.mlp.ünï"].map((name) => ({ name }));
const FIRST: StepRecord = {
  step: 1,
  loss: 3.25,
  gradNorm: 0.75,
  learningRate: 1e-4,
  tokens: 2000,
  tokensPerSecond: 5120.5,
  moduleGradNorms: [0.5, 0],
};
const SECOND: StepRecord = {
  step: 300,
  loss: 1e-30,
  gradNorm: Number.POSITIVE_INFINITY,
  learningRate: 0,
  tokens: 2000,
  tokensPerSecond: 4999,
  moduleGradNorms: [],
  evalLoss: 0,
};

describe("event files", () => {
  it("are byte for byte what TensorBoard's own writer makes (fixtures/generate/train_tensorboard.py)", () => {
    const records = [
      encodeEventHeader(1_700_000_000),
      encodeStepEvent(FIRST, MODULES, 1_700_000_001.5),
      encodeStepEvent(SECOND, MODULES, 1_700_000_002.25),
    ];
    expect(Buffer.concat(records).equals(readFileSync(GOLDEN))).toBe(true);
  });

  it("have a name that TensorBoard looks for", () => {
    expect(eventFileName(1_700_000_000.9)).toBe("events.out.tfevents.1700000000.lora-tool");
  });
});

describe("CRC-32C", () => {
  it.each([
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, index) => index), 0x46dd794e],
    [new TextEncoder().encode("123456789"), 0xe3069283],
  ])("has the known answers of RFC 3720 (%#)", (bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
  });
});
