import { describe, expect, it } from "vitest";
import { assertOptionKinds, type OptionKinds } from "../../src/core/option-kinds.ts";
import { errorOf } from "../support/errors.ts";

interface Options {
  readonly input: string;
  readonly maxLength?: number;
  readonly names?: string | readonly string[];
  readonly pattern?: Readonly<Record<string, number>>;
  readonly dtype?: string;
  readonly signal?: AbortSignal;
}

const KINDS: OptionKinds<Options> = {
  input: "required a text",
  maxLength: "a number",
  names: "a text or a list of texts",
  pattern: "numbers by name",
  dtype: ["f16", "f32"],
  signal: "an AbortSignal",
};

const refusal = (options: unknown) => errorOf(() => assertOptionKinds("work", options as Options, KINDS));

describe("options of a call", () => {
  it("pass when each is of its kind, absent or undefined", () => {
    const all = { input: "a", names: ["b"], pattern: { c: 1 }, dtype: "f16", signal: new AbortController().signal };
    expect(() => assertOptionKinds("work", all, KINDS)).not.toThrow();
    expect(() => assertOptionKinds("work", { input: "a", maxLength: undefined } as never, KINDS)).not.toThrow();
  });

  it.each([
    [{}, "input", "expected a text, got nothing"],
    [{ input: 1 }, "input", "expected a text, got 1"],
    [{ input: "a", maxLength: "8" }, "maxLength", 'expected a number, got "8"'],
    [{ input: "a", maxLength: null }, "maxLength", "expected a number, got null"],
    [{ input: "a", names: ["b", 1] }, "names", "expected a text or a list of texts, got a list of 2"],
    [{ input: "a", pattern: { c: "1" } }, "pattern", "expected numbers by name, got an object"],
    [{ input: "a", pattern: [1] }, "pattern", "expected numbers by name, got a list of 1"],
    [{ input: "a", dtype: "f64" }, "dtype", 'expected one of f16, f32, got "f64"'],
    [{ input: "a", signal: () => 0 }, "signal", "expected an AbortSignal, got a function"],
  ])("are refused by name: %j", async (options, subject, problem) => {
    expect(await refusal(options)).toMatchObject({ code: "INVALID_OPTION", subject, problem });
  });

  it.each(["max_length", "max-length", "maxlength"])(
    "are refused when unknown, with what was meant: %s",
    async (name) => {
      const error = await refusal({ input: "a", [name]: 8 });
      expect(error).toMatchObject({ code: "INVALID_OPTION", subject: name, hint: "did you mean maxLength?" });
    },
  );

  it("are listed where nothing like the unknown one is known", async () => {
    expect((await refusal({ input: "a", __proto: 8 })).hint).toBe(
      "its options are input, maxLength, names, pattern, dtype, signal",
    );
  });

  it.each([undefined, null, "input", ["input"]])("are an object, not %j", async (options) => {
    expect((await refusal(options)).message).toMatch(/^work: expected an object of options/);
  });
});
