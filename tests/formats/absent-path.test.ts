/** What users type instead of the path of a model or an adapter. */

import { expect, test } from "vitest";
import { openAdapter } from "../../src/adapters/open-adapter.ts";
import { openModel } from "../../src/formats/open-model.ts";
import { errorOf } from "../support/errors.ts";

test.each([
  ["meta-llama/Llama-3.2-1B", /hf download meta-llama\/Llama-3.2-1B --local-dir Llama-3.2-1B$/],
  ["~/models/llama", /^the shell expands "~"/],
  ["./models/llama", /^check the path$/],
  ["models/of/mine", /^check the path$/],
])("%s is absent, and the hint says what it may have been meant as", async (path, hint) => {
  for (const open of [openModel, openAdapter]) {
    const error = await errorOf(() => open(path));
    expect(error).toMatchObject({ code: "FILE_NOT_FOUND", file: path, hint: expect.stringMatching(hint) });
  }
});
