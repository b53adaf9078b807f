/**
 * What a run leaves for people: metrics.jsonl and an event file of TensorBoard as it goes on, report.html at its end.
 */

import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { toFileError } from "../../core/errors.ts";
import { fillFileSync } from "../../formats/write-file.ts";
import type { RunRecord, TrainedModule } from "../report/run-record.ts";
import { encodeEventHeader, encodeStepEvent, eventFileName } from "../report/tensorboard.ts";
import type { TrainReport } from "../report.ts";
import type { StepEvent } from "./events.ts";
import { MetricsWriter, readSteps } from "./metrics.ts";
import { REPORT_NAME, TENSORBOARD_FOLDER, writeFile } from "./output-folder.ts";

export class RunLog {
  readonly #out: string;
  readonly #report: TrainReport;
  readonly #modules: readonly TrainedModule[];
  readonly #metrics: MetricsWriter;
  readonly #events: number;

  /** @param from steps that an earlier start of the run has done */
  constructor(out: string, from: number, report: TrainReport) {
    this.#out = out;
    this.#report = report;
    this.#modules = report.modules.map((module) => ({ ...module, convention: report.convention }));
    this.#metrics = new MetricsWriter(out, from);
    this.#events = openEvents(join(out, TENSORBOARD_FOLDER));
  }

  write(step: StepEvent): void {
    this.#metrics.write(step);
    const { evaluation, moduleGradNorms } = step;
    // Modules that are trained whole come behind those with adapters, which are all that charts show.
    const norms = moduleGradNorms.slice(0, this.#modules.length);
    const record = { ...step, moduleGradNorms: norms, ...(evaluation && { evalLoss: evaluation.loss }) };
    this.#append(encodeStepEvent(record, this.#modules, Date.now() / 1000));
  }

  /** Draws the whole run, earlier starts too. */
  async writeReport(settings: ReadonlyMap<string, string>): Promise<void> {
    // The plotting library takes 100 ms to load.
    const { writeReport } = await import("../report/write-report.ts");
    const { base, method } = this.#report;
    const count = this.#modules.length;
    const steps = readSteps(this.#out).map((step) => ({
      ...step,
      moduleGradNorms: step.moduleGradNorms.slice(0, count),
    }));
    const title = `${method} on ${basename(resolve(base))}`;
    const record: RunRecord = { title, settings, modules: this.#modules, steps };
    await writeFile(this.#out, REPORT_NAME, (path) => fillFileSync(path, writeReport(record)));
  }

  close(): void {
    this.#metrics.close();
    closeSync(this.#events);
  }

  #append(bytes: Uint8Array): void {
    try {
      writeSync(this.#events, bytes);
    } catch (error) {
      throw toFileError(error, this.#out);
    }
  }
}

function openEvents(folder: string): number {
  try {
    mkdirSync(folder, { recursive: true });
    const now = Date.now() / 1000;
    const events = openSync(join(folder, eventFileName(now)), "a");
    writeSync(events, encodeEventHeader(now));
    return events;
  } catch (error) {
    throw toFileError(error, folder);
  }
}
