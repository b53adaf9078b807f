/** The line that is drawn over again: how often it is, whatever is reported. */

import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { StatusLine } from "../../src/cli/status-line.ts";

test("the end is drawn at once, and however often it is reported, once in a while only", () => {
  const stderr = new PassThrough();
  const io = { stdout: stderr, stderr, interactive: true, signal: new AbortController().signal };
  const line = new StatusLine(io);
  for (let event = 0; event < 100; event++) line.draw(() => "half", false);
  for (let event = 0; event < 100; event++) line.draw(() => "end", true);
  const drawn = String(stderr.read());
  expect(drawn.split("half").length - 1).toBe(1);
  expect(drawn.split("end").length - 1).toBe(1);
});
