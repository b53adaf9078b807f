/** Twenty steps of training against PEFT and torch's AdamW, from model folders. */

import { readdirSync } from "node:fs";
import { describe, it } from "vitest";
import { expectParity, PARITY } from "./parity-case.ts";

const names = readdirSync(PARITY, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? entry.name : []));

describe.each(names)("%s", (name) => {
  it("has PEFT's losses to 1e-4 and its tensors to 2e-4 after twenty steps", () => expectParity(name));
});
