/**
 * Steps of a run as TensorBoard reads them: a file of records, each a protobuf message `Event`.
 *
 *   record   u64 length · u32 masked CRC-32C of the length · message · u32 masked CRC-32C of the message
 *   Event    1 wall_time double · 2 step int64 · 3 file_version string · 5 Summary { 1 Value { 1 tag · 2 simple_value float } }
 *
 * All little-endian. Sources: tensorflow/core/lib/io/record_writer.h (TFRecord), tensorflow/core/util/event.proto and
 * framework/summary.proto, TensorFlow 2.21. A file is the version's record, then records in any number; more may be appended.
 */

import protobuf from "protobufjs/minimal.js";
import {
  type Writer,
  writeDouble,
  writeFloat,
  writeInt64,
  writeMessage,
  writeText,
} from "../../formats/onnx/wire-writer.ts";
import { crc32c } from "./crc32c.ts";
import type { StepRecord, TrainedModule } from "./run-record.ts";

/** What a TensorBoard of today takes; the first record of a file says it. */
const FILE_VERSION = "brain.Event:2";

/** TensorBoard looks for `tfevents` in a name and sorts by the number behind it. */
export function eventFileName(startSeconds: number): string {
  return `events.out.tfevents.${Math.floor(startSeconds)}.lora-tool`;
}

/** The first record of an event file. */
export function encodeEventHeader(wallTimeSeconds: number): Uint8Array {
  return encodeRecord((writer) => {
    writeDouble(writer, 1, wallTimeSeconds);
    writeText(writer, 3, FILE_VERSION);
  });
}

/** One step's numbers. `modules` are those of the run, in the order of the step's norms. */
export function encodeStepEvent(
  step: StepRecord,
  modules: readonly Pick<TrainedModule, "name">[],
  wallTimeSeconds: number,
): Uint8Array {
  return encodeRecord((writer) => {
    writeDouble(writer, 1, wallTimeSeconds);
    writeInt64(writer, 2, step.step);
    writeMessage(writer, 5, () => {
      for (const [tag, value] of scalarsOf(step, modules)) {
        writeMessage(writer, 1, () => {
          writeText(writer, 1, tag);
          writeFloat(writer, 2, value);
        });
      }
    });
  });
}

/** Tags with a slash are groups in TensorBoard. */
function scalarsOf(step: StepRecord, modules: readonly Pick<TrainedModule, "name">[]): [string, number][] {
  const { evalLoss } = step;
  const scalars: [string, number][] = [
    ["train/loss", step.loss],
    ["train/grad_norm", step.gradNorm],
    ["train/learning_rate", step.learningRate],
    ["train/tokens_per_second", step.tokensPerSecond],
  ];
  if (evalLoss !== undefined) scalars.push(["eval/loss", evalLoss], ["eval/perplexity", Math.exp(evalLoss)]);
  step.moduleGradNorms.forEach((norm, index) => {
    scalars.push([`grad_norm/${modules[index]?.name ?? index}`, norm]);
  });
  return scalars;
}

function encodeRecord(write: (writer: Writer) => void): Uint8Array {
  const writer = protobuf.Writer.create();
  write(writer);
  const message = writer.finish();
  const record = new Uint8Array(12 + message.length + 4);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(message.length), true);
  view.setUint32(8, maskedCrc(record.subarray(0, 8)), true);
  record.set(message, 12);
  view.setUint32(12 + message.length, maskedCrc(message), true);
  return record;
}

/** Rotated and shifted, because a checksum over data that holds its checksum is weak. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
